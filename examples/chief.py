"""What the first of several processes does alone: to write.

On JAX a model of several processes is one array over all of them, with which
one alone cannot compute. The chief has a copy in its own memory.
"""

import contextlib

import keras


@contextlib.contextmanager
def chiefs_own(model, place):
    """Gives the chief a model to compute with by itself, others `None`.

    All processes must come here: weights that others have a part of are
    fetched from them.

    Args:
        model: a compiled model.
        place: `distributing.Place`.
    """
    distribution = keras.distribution.distribution()
    if distribution is None or place.count == 1:
        yield model if place.chief else None
        return
    values = [local_value(v.value) for v in state_of(model)]
    with without_distribution():
        yield copy_of(model, values) if place.chief else None


@contextlib.contextmanager
def without_distribution():
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def state_of(model):
    return [
        *model.trainable_variables,
        *model.non_trainable_variables,
        *model.optimizer.variables,
    ]


def copy_of(model, values):
    """Returns a model of the same kind in the memory of this host."""
    with keras.device("cpu:0"):
        copy = type(model).from_config(model.get_config())
        copy.compile_from_config(model.get_compile_config())
        copy.optimizer.build(copy.trainable_variables)
        for variable, value in zip(state_of(copy), values, strict=True):
            variable.assign(value)
    return copy


def local_value(value):
    """Returns all of a JAX array as NumPy's."""
    from jax.experimental import multihost_utils

    if value.is_fully_replicated:
        return keras.ops.convert_to_numpy(value.addressable_data(0))
    return multihost_utils.process_allgather(value, tiled=True)


class ForChief(keras.callbacks.Callback):
    """Runs another callback on the chief alone."""

    def __init__(self, callback, place):
        super().__init__()
        self.callback = callback
        self.place = place

    def set_params(self, params):
        self.callback.set_params(params)

    def set_model(self, model):
        super().set_model(model)
        self.callback.set_model(model)

    def on_train_begin(self, logs=None):
        if self.place.chief:
            with without_distribution():
                self.callback.on_train_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        with chiefs_own(self.model, self.place) as own:
            if self.place.chief:
                self.callback.set_model(own)
                self.callback.on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        if self.place.chief:
            self.callback.on_train_end(logs)


class Backup(keras.callbacks.BackupAndRestore):
    """Restores every process from what the chief has backed up."""

    def __init__(self, place, folder, **options):
        super().__init__(folder, **options)
        self.place = place

    def on_epoch_end(self, epoch, logs=None):
        model = self.model
        with chiefs_own(model, self.place) as own:
            if self.place.chief:
                self.set_model(own)
                super().on_epoch_end(epoch, logs)
        self.set_model(model)
