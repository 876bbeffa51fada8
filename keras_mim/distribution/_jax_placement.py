import contextlib
import os

import keras

from keras_mim.distribution._chief_callbacks import without_distribution
from keras_mim.distribution.layout_map import layout_map
from keras_mim.distribution.placement import Placement


class JAXPlacement(Placement):
    """Distributes by `keras.distribution`.

    A model of several processes is one array over all of them, with which one
    alone cannot compute: the chief has a copy in its own memory.
    """

    def __init__(self, kind):
        import jax

        distribution = keras.distribution
        hosts = os.environ.get("TPU_WORKER_HOSTNAMES", "")
        if "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ or "," in hosts:
            distribution.initialize()
        devices = distribution.list_devices()
        # The pipeline of a process reads its own share already.
        if kind == "data":
            chosen = distribution.DataParallel(auto_shard_dataset=False)
        else:
            mesh = distribution.DeviceMesh((len(devices),), ["batch"], devices)
            chosen = distribution.ModelParallel(
                layout_map=layout_map(mesh), auto_shard_dataset=False
            )
        distribution.set_distribution(chosen)
        super().__init__(jax.process_index(), jax.process_count(), len(devices))

    @contextlib.contextmanager
    def chief_model(self, model):
        if self.count == 1:
            yield model
            return
        values = [_whole_array(v.value) for v in _state(model)]
        with without_distribution():
            yield _copy(model, values) if self.is_chief else None

    def _leave(self):
        import jax

        # Those that end wait for the others for five minutes, which the
        # chief's last work may exceed; then all are aborted.
        jax.distributed.shutdown()


def _state(model):
    return [
        *model.trainable_variables,
        *model.non_trainable_variables,
        *model.optimizer.variables,
    ]


def _copy(model, values):
    """Returns a model of the same kind in the memory of this host."""
    with keras.device("cpu:0"):
        copy = type(model).from_config(model.get_config())
        copy.compile_from_config(model.get_compile_config())
        copy.optimizer.build(copy.trainable_variables)
        for variable, value in zip(_state(copy), values, strict=True):
            variable.assign(value)
    return copy


def _whole_array(value):
    """Returns all of a distributed JAX array as NumPy's."""
    from jax.experimental import multihost_utils

    if value.is_fully_replicated:
        return keras.ops.convert_to_numpy(value.addressable_data(0))
    return multihost_utils.process_allgather(value, tiled=True)
