import keras

from keras_mim.data._epoch_order import EpochOrder
from keras_mim.data._epoch_order import fold
from keras_mim._requirements import require


class BatchSeeds(keras.random.SeedGenerator):
    """Gives Keras's layers seeds that follow from the seed of a batch.

    Keras's own generator has a state, which no pipeline brings back that is
    resumed or works on several batches at once.

    Args:
        seed: int64 tensor of shape `(2,)`.
    """

    def __init__(self, seed):
        # Not Keras's constructor, which makes a variable.
        self.seed = seed
        self.count = 0

    def next(self, ordered=True):
        self.count += 1
        return fold(self.seed, self.count)


def batch_seeds(seed, first_epoch):
    """Gives a seed for each batch of an epoch.

    Args:
        seed: int or `None`, as in `EpochOrder`.
        first_epoch: int, likewise.

    Returns:
        `tf.data.Dataset` without end, of int64 tensors of shape `(2,)`.
    """
    tf = require("tensorflow")

    def seeds_of_epoch(epoch_seed):
        # With the same seed, an image's is `fold(epoch_seed, its number)`.
        parent = fold(epoch_seed, -1)
        return tf.data.Dataset.counter().map(
            lambda number: fold(parent, number)
        )

    order = EpochOrder(seed=seed, first_epoch=first_epoch)
    seeds = order.epoch_seeds().flat_map(seeds_of_epoch)
    # As it is not for the seeds to tell how many batches there are.
    endless = tf.data.INFINITE_CARDINALITY
    return seeds.apply(tf.data.experimental.assert_cardinality(endless))
