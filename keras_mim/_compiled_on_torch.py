import contextlib

import keras
from keras import ops


class CompiledOnTorch:
    """Lets a model train compiled on torch: `compile(jit_compile=True)`.

    Comes before `keras.Model` among the bases. On other backends it changes
    nothing.

    Keras has `torch.compile` read the Python code of a whole step, which takes
    it half a minute for each block of a transformer. Here Keras's code runs
    once, `torch.export` takes down which operations it calls, and
    `torch.compile` gets that list: for the forward pass, the loss and metrics.
    The optimizer's list runs as it is. Nothing in a step waits for the device.
    Batches of another shape get programs of their own. Evaluation and
    prediction are not compiled.
    """

    def make_train_function(self, force=False):
        is_new = force or self.train_function is None
        # For what Keras checks, too.
        with self._left_as_it_is():
            super().make_train_function(force)
        if is_new and self._compiles():
            step = _Step(self)
            # Keras hands on a list of one batch.
            self.train_function = lambda batches: step(batches[0])
        return self.train_function

    def make_test_function(self, force=False):
        with self._left_as_it_is():
            return super().make_test_function(force)

    def make_predict_function(self, force=False):
        with self._left_as_it_is():
            return super().make_predict_function(force)

    def _compiles(self):
        return keras.backend.backend() == "torch" and self.jit_compile

    @contextlib.contextmanager
    def _left_as_it_is(self):
        """Keeps Keras from compiling on torch what is made inside."""
        compiles = self._compiles()
        if compiles:
            self.jit_compile = False
        try:
            yield
        finally:
            if compiles:
                self.jit_compile = True


class _Step:
    """A training step as programs of torch, made when they are first run."""

    def __init__(self, model):
        self.model = model
        self.forwards = {}
        self.updates = {}

    def __call__(self, data):
        import torch

        model = self.model
        data = keras.tree.map_structure(_as_tensor, data)
        key = repr(keras.tree.map_structure(_describe, data))
        if key not in self.forwards:
            variables = [*model.variables, *model.metrics_variables]
            program = _Program(self._forward, variables, data)
            program.run = torch.compile(program.run)
            self.forwards[key] = program
        loss, logs = self.forwards[key](data)
        model.zero_grad()
        model.optimizer.scale_loss(loss).backward()
        self._update([w.value.grad for w in model.trainable_variables])
        return logs

    def _forward(self, data):
        """Returns the loss and the logs."""
        model = self.model
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        prediction = model(x, training=True)
        loss = model.compute_loss(x, y, prediction, sample_weight)
        # The first is Keras's mean of the loss.
        number = keras.tree.flatten(x)[0].shape[0]
        model.metrics[0].update_state(loss, sample_weight=number)
        logs = model.compute_metrics(x, y, prediction, sample_weight)
        return loss, logs

    def _update(self, gradients):
        import torch

        optimizer = self.model.optimizer
        weights = self.model.trainable_variables

        def apply(gradients):
            optimizer.apply(gradients, weights)

        with torch.no_grad():
            if _looks_at_values(optimizer):
                return apply(gradients)
            key = tuple(id(weight) for weight in weights)
            if key not in self.updates:
                variables = [*weights, *optimizer.variables]
                self.updates[key] = _Program(apply, variables, gradients)
            self.updates[key](gradients)


class _Program:
    """A function of tensors and Keras's variables, as a list of operations.

    Args:
        function: Function of `inputs` that may read and assign `variables`.
        variables: list of Keras variables.
        inputs: Tensors in any structure, of the shapes that will come.
    """

    def __init__(self, function, variables, inputs):
        import torch

        # What the function assigns.
        self.assigned = assigned = []

        class Module(torch.nn.Module):
            def forward(self, values, inputs):
                pairs = list(zip(variables, values, strict=True))
                with keras.StatelessScope(pairs) as scope:
                    outputs = function(inputs)
                assigned.clear()
                news = []
                for variable, old in pairs:
                    new = scope.get_current_value(variable)
                    if new is not None and new is not old:
                        assigned.append(variable)
                        news.append(new)
                return outputs, news

        # The same tensors for good: Keras assigns by copying into them.
        self.values = [variable.value for variable in variables]
        try:
            exported = torch.export.export(
                Module(), (self.values, inputs), strict=False
            )
        except Exception as error:
            # Torch has many kinds of it, and each names a line of Python.
            raise ValueError(
                "Torch cannot take down what this model does in training: a "
                "part of it looks at the values of tensors, or draws random "
                "numbers by `keras.random` instead of "
                "`keras_mim.random.uniform`. Compile the model with "
                f"jit_compile=False, or see the error above. Received: {error}"
            ) from error
        module = exported.module()
        _drop_what_does_nothing(module)
        # Not the module's call, which looks at the shapes once more.
        self.run = module.forward

    def __call__(self, inputs):
        import torch

        outputs, news = self.run(self.values, inputs)
        with torch.no_grad():
            for variable, new in zip(self.assigned, news, strict=True):
                # Not `assign`, by which a seed would travel to the device.
                variable.value.copy_(new)
        return outputs


def _drop_what_does_nothing(module):
    """Takes Keras's conversions to the same dtype out of a program, and checks.

    They are most of its operations.
    """
    import torch

    aten = torch.ops.aten
    checks = (aten._assert_tensor_metadata.default, "_guards_fn")
    graph = module.graph
    for node in list(graph.nodes):
        if node.target in checks:
            graph.erase_node(node)
        elif node.target in (aten.to.dtype, aten.to.dtype_layout):
            old, new = node.args[0].meta["val"], node.meta["val"]
            if (old.dtype, old.device) == (new.dtype, new.device):
                node.replace_all_uses_with(node.args[0])
                graph.erase_node(node)
    module.recompile()


def _as_tensor(x):
    return None if x is None else ops.convert_to_tensor(x)


def _describe(x):
    return None if x is None else (x.shape, x.dtype)


def _looks_at_values(optimizer):
    """Whether what an optimizer does depends on what its numbers are."""
    scales_loss = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return (
        scales_loss
        or optimizer.gradient_accumulation_steps
        or optimizer.use_ema
    )
