"""What the layers inside of a layer are set to, one by one.

A layer of ours is rebuilt from its arguments, and these hold one precision and
one `trainable` for all that is inside. What was set since then (a frozen layer,
a precision of its own, quantization, LoRA) is held here.
"""

import re

import keras


def settings_of(layer):
    """Returns what the layers inside of a layer are set to.

    Args:
        layer: Keras layer or model.

    Returns:
        dict of str to dict, which JSON can hold: by a layer's place, what is
        other there than in the layer that it is in. `"trainable"`; `"dtype"`,
        its policy, were it not quantized; `"quantization"`; `"lora"`, rank and
        alpha; and `"exceptions"`, the names of its weights that are trainable
        where the layer is not, or the other way around.
    """
    found = {}
    for place, inner, outer, home in _walk(layer):
        own = {}
        if inner.trainable != outer.trainable:
            own["trainable"] = inner.trainable
        if _policy(inner) != _policy(home) and not _is_container(inner):
            own["dtype"] = keras.dtype_policies.serialize(_policy(inner))
        if inner.quantization_mode is not None:
            own["quantization"] = {
                "mode": inner.quantization_mode,
                "config": keras.saving.serialize_keras_object(
                    getattr(inner, "quantization_config", None)
                ),
            }
        if getattr(inner, "lora_enabled", False):
            own["lora"] = [inner.lora_rank, inner.lora_alpha]
        exceptions = [
            weight.name
            for weight in inner._trainable_variables
            if weight.trainable != inner.trainable
        ]
        if exceptions:
            own["exceptions"] = exceptions
        if own:
            found[place] = own
    return found


def apply_settings(layer, settings, with_dtypes=True):
    """Sets the layers inside of a layer as those of another are set.

    Comes before weights are loaded: some are of another kind afterwards. The
    layer's own `trainable` and precision stay as they are.

    Args:
        layer: Keras layer or model, built.
        settings: dict. What `settings_of` returns for a layer with the same
            arguments, or for one with others: places that are not there have
            no effect. `None` changes nothing.
        with_dtypes: bool. Whether precisions are set too. Defaults to `True`.
    """
    if settings is None:
        return
    for place, inner, outer, home in _walk(layer):
        own = settings.get(place, {})
        policy = keras.dtype_policies.get(own.get("dtype", _policy(home)))
        changes = with_dtypes and not _is_container(inner)
        if changes and _policy(inner) != policy:
            inner.dtype_policy = policy
        quantization = own.get("quantization")
        if quantization and inner.quantization_mode is None:
            inner.quantize(
                quantization["mode"],
                config=keras.saving.deserialize_keras_object(
                    quantization["config"]
                ),
            )
        if "lora" in own and not inner.lora_enabled:
            rank, alpha = own["lora"]
            inner.enable_lora(rank, lora_alpha=alpha)
        trainable = own.get("trainable", outer.trainable)
        # TensorFlow does nothing where it is the same already.
        if inner.trainable != trainable:
            inner.trainable = trainable
        exceptions = own.get("exceptions", ())
        for weight in inner._trainable_variables:
            weight.trainable = trainable != (weight.name in exceptions)


class Composite(keras.layers.Layer):
    """A layer made of layers, whose configuration says what these are set to.

    Comes first among the bases. A layer with nothing set has the configuration
    of its arguments alone.
    """

    def get_config(self):
        config = super().get_config()
        settings = settings_of(self) if self.built else {}
        # Inside of a frozen layer that is made anew, nothing is frozen.
        if settings or not self.trainable:
            config["built_for"] = self.get_build_config()
            config["layer_settings"] = settings
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        built_for = config.pop("built_for", None)
        settings = config.pop("layer_settings", None)
        layer = super().from_config(config)
        if built_for is not None:
            layer.build_from_config(built_for)
            apply_settings(layer, settings)
        return layer


def _walk(layer, place="", home=None, seen=None):
    """Yields what is inside of a layer, from outside to inside, each once.

    The first is the layer itself, in itself: its own weights are looked at too.

    Yields:
        tuple of place, layer, the one that it is in, and the one whose
        precision it has unless it is another: not a mere sequence or graph of
        layers, whose own precision has no effect.
    """
    if seen is None:
        seen = {id(layer)}
        yield "", layer, layer, layer
    home = home if home and _is_container(layer) else layer
    names = {}
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        name = _lasting_name(inner)
        names[name] = number = names.get(name, 0) + 1
        if id(inner) in seen or isinstance(inner, keras.layers.InputLayer):
            continue
        seen.add(id(inner))
        inside = f"{place}/{name}" if place else name
        inside += f":{number}" if number > 1 else ""
        yield inside, inner, layer, home
        yield from _walk(inner, inside, home, seen)


def _is_container(layer):
    """Whether a layer is Keras's own model: a sequence or graph of layers."""
    package = type(layer).__module__.partition(".")[0]
    return isinstance(layer, keras.Model) and package == "keras"


def _lasting_name(layer):
    """Returns a layer's name, without the number that Keras counts up."""
    name = re.sub(r"_\d+$", "", layer.name)
    is_counted = name.replace("_", "") == type(layer).__name__.lower()
    return name if is_counted else layer.name


def _policy(layer):
    """Returns a layer's dtype policy, as it would be without quantization."""
    policy = layer.dtype_policy
    if isinstance(policy, keras.dtype_policies.DTypePolicyMap):
        path = layer.path
        policy = policy[path] if path else policy.default_policy
    if policy.quantization_mode is not None:
        policy = policy.name.rpartition("_from_")[2]
    return keras.dtype_policies.get(policy)
