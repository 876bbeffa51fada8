import keras

from keras_mim.data.epochs import epoch_seeds
from keras_mim.data.epochs import fold
from keras_mim.ops import require


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
        seed: int or `None`.
        first_epoch: int, as in `epoch_seeds`.

    Returns: `tf.data.Dataset` without end, of int64 tensors of shape `(2,)`.
    """
    tf = require("tensorflow")

    def of_epoch(epoch_seed):
        # With the same seed, an image's is `fold(epoch_seed, its number)`.
        own = fold(epoch_seed, -1)
        return tf.data.Dataset.counter().map(lambda number: fold(own, number))

    seeds = epoch_seeds(seed, first_epoch).flat_map(of_epoch)
    # As it is not for the seeds to tell how many batches there are.
    endless = tf.data.INFINITE_CARDINALITY
    return seeds.apply(tf.data.experimental.assert_cardinality(endless))
