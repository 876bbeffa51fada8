import keras

from keras_mim._requirements import require

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

    def next(self, ordered=True):
        seed = super().next(ordered)
        replica = replica_number()
        if isinstance(replica, int) and replica == 0:
            return seed
        offset = keras.ops.cast(replica, seed.dtype) * STRIDE
        return seed + keras.ops.stack([offset, keras.ops.zeros_like(offset)])


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
