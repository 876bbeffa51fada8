"""What the library's users can call, found in its packages."""

import inspect

import keras

import keras_mim

# Methods of these names are Keras's, whose contract they have.
KERAS = (
    keras.layers.Layer,
    keras.Model,
    keras.callbacks.Callback,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.initializers.Initializer,
    keras.random.SeedGenerator,
)
# Arguments of Keras's, which checks them.
OF_KERAS = {"self", "name", "dtype", "trainable", "training", "mask"}
# What a model calls with what it has checked; own parts implement some.
HOOKS = {
    "attach",
    "attention_arguments",
    "check_inputs",
    "check_labels",
    "encode",
    "fine_tuning_changes",
    "for_loss",
    "from_config",
    "get_config",
    "logits",
    "make_attention",
    "own_normalization",
    "target_dim",
    "values_per_patch",
    "distort_images",
    "mix_batch",
}
# Bases that no one makes, and records that the library makes.
NOT_MADE = {
    "converters.Report",
    "encoders.LayerGroup",
    "masking.Masking",
    "models.MaskedImageModel",
    "targets.ClassTarget",
    "targets.Target",
}


def public_calls():
    """Returns what is public and takes arguments, by its dotted name.

    Returns:
        dict of str to list of str, the names of the arguments. A function is
        `"package.function"`, a class `"package.Class"`, one of its methods
        `"package.Class.method"`, and the call of what it makes
        `"package.Class()"`.
    """
    found = {}
    for package in vars(keras_mim).values():
        if inspect.ismodule(package) and hasattr(package, "__path__"):
            prefix = package.__name__.partition(".")[2]
            for name, thing in vars(package).items():
                module = getattr(thing, "__module__", "")
                if module.startswith("keras_mim") and name[0] != "_":
                    found.update(_calls_of(f"{prefix}.{name}", thing))
    found.update(_calls_of("Normalization", keras_mim.Normalization))
    return {
        name: _arguments_of(call)
        for name, call in found.items()
        if set(inspect.signature(call).parameters) - {"self", "cls"}
    }


def _calls_of(name, thing):
    if not inspect.isclass(thing):
        yield name, thing
        return
    if name not in NOT_MADE:
        yield name, thing
        call = _own_call(thing)
        if call is not None:
            yield f"{name}()", call
    of_keras = [base for base in KERAS if issubclass(thing, base)]
    for method, value in vars(thing).items():
        value = getattr(value, "__func__", value)
        known = any(hasattr(base, method) for base in of_keras)
        hidden = method[0] == "_" or method in HOOKS or known
        if inspect.isfunction(value) and not hidden:
            yield f"{name}.{method}", inspect.unwrap(value)


def _own_call(thing):
    """Returns what is run when one of a class is called, if it is ours."""
    name = "__call__"
    if issubclass(thing, (keras.layers.Layer, keras.Model)):
        name = "call"
    for base in thing.__mro__:
        if name in vars(base):
            ours = base.__module__.startswith("keras_mim")
            return vars(base)[name] if ours else None
    return None


def _arguments_of(call):
    parameters = inspect.signature(call).parameters.values()
    various = inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL
    names = [p.name for p in parameters if p.kind not in various]
    return [name for name in names if name not in {*OF_KERAS, "cls"}]
