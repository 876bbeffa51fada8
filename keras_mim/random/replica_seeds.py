import contextlib

import keras
import numpy as np

from keras_mim._checks import check_kind
from keras_mim._checks import check_seed
from keras_mim._requirements import require
from keras_mim.random import _on_torch

# Odd, and larger than any number of draws: backends add up a seed's two
# halves, the seed and the count of draws, or hash them.
STRIDE = 1_640_531_527


class ReplicaSeeds(keras.random.SeedGenerator):
    """A `SeedGenerator` that gives every replica seeds of its own.

    Under `tf.distribute` and torch's `DistributedDataParallel` every replica
    holds the same state, so that Keras's generator gives all of them the same
    masks. Here the number of the replica goes into the seed. The first one's
    draws, and those of a run on one device, are Keras's. On JAX there are no
    replicas to tell apart: one draw is made for the global batch.

    Args:
        seed: int or `None`. As of `keras.random.SeedGenerator`.
    """

    def __init__(self, seed=None, **kwargs):
        check_seed(seed)
        on_torch = keras.backend.backend() == "torch"
        # On torch the state stays where it is read; see `_on_torch`.
        with keras.device("cpu") if on_torch else contextlib.nullcontext():
            seed = seed if seed is None else int(seed)
            super().__init__(seed, **kwargs)
        if on_torch:
            _on_torch.register()

    def next(self, ordered=True):
        seed = super().next(ordered)
        offset = self.replica_offset()
        if isinstance(offset, int) and offset == 0:
            return seed
        offset = keras.ops.cast(offset, seed.dtype)
        offset = keras.ops.stack([offset, keras.ops.zeros_like(offset)])
        # Not `+`: on torch the seed is on the CPU, and the offset may not be.
        return keras.ops.add(seed, offset)

    def start(self):
        """Returns the state at which this stream began.

        Returns: NumPy array: the seed, and that nothing was drawn.
        """
        start = np.array(keras.ops.convert_to_numpy(self.state))
        start[1] = 0
        return start

    @contextlib.contextmanager
    def replaced_by(self, other):
        """Draws from another's stream inside, and leaves its own where it is.

        Args:
            other: `ReplicaSeeds`.
        """
        check_kind(ReplicaSeeds, other=other)
        own, self.state = self.state, other.state
        try:
            yield
        finally:
            self.state = own

    def replica_offset(self):
        """Returns what the replica adds to the first half of its seeds.

        Returns: int, or on TPUs a tensor.
        """
        return replica_number() * STRIDE


def seed_states(model):
    """Returns the variables of a model that its random streams stand at."""
    check_kind(keras.Model, model=model)
    return [v for v in model.variables if v.name == "seed_generator_state"]


def replica_number():
    """Returns which of the replicas in step calls this, from 0.

    Returns: int, or on TPUs an int32 tensor.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        context = require("tensorflow").distribute.get_replica_context()
        # None outside of the replicas, where a model is built.
        return context.replica_id_in_sync_group if context else 0
    if backend == "torch":
        distributed = require("torch").distributed
        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank()
    return 0
