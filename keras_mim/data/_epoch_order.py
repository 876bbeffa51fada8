import dataclasses

from keras_mim._checks import check
from keras_mim._checks import check_counts
from keras_mim._checks import is_int
from keras_mim._requirements import require
from keras_mim.data._checks import check_seed


@dataclasses.dataclass(frozen=True)
class EpochOrder:
    """In which order the images of an epoch come, and which share of them.

    Everything random of an epoch follows from its seed, and that from `seed`
    and the number of the epoch: an epoch can be had without those before it.

    Args:
        shuffled: bool. Whether every epoch has an order of its own.
        buffer: int. How many images to draw the next one from, or `None` to
            leave that to the source. The pipeline calls it `shuffle`.
        seed: int, or `None` to draw one.
        first_epoch: int. The number of the first epoch.
        shard: pair of ints `(index, count)`. Which of `count` shares to take.
    """

    shuffled: bool = True
    buffer: int | None = None
    seed: int | None = None
    first_epoch: int = 0
    shard: tuple = (0, 1)

    def __post_init__(self):
        buffer, shard = self.buffer, self.shard
        check_counts(or_none=True, shuffle=buffer)
        check_seed(self.seed)
        check_counts(least=0, first_epoch=self.first_epoch)
        right = isinstance(shard, (tuple, list)) and len(shard) == 2
        right = right and all(map(is_int, shard))
        check(
            right and 0 <= shard[0] < shard[1],
            "shard",
            shard,
            "(index, count) with 0 <= index < count",
        )

    def epoch_seeds(self):
        """Gives the seed of an epoch, the next one's whenever it is read.

        Returns:
            `tf.data.Dataset` of one int64 tensor of shape `(2,)`.
        """
        tf = require("tensorflow")
        with tf.device("CPU"):
            seed = self.seed
            if seed is None:
                seed = tf.random.uniform((), maxval=2**62, dtype="int64")
            run_seed = tf.stack([tf.cast(seed, "int64"), 0])
            # Not a count of iterators: Keras makes some that it does not read.
            next_epoch = tf.Variable(
                self.first_epoch, dtype="int64", trainable=False
            )

        def draw_seed(_):
            return fold(run_seed, next_epoch.assign_add(1) - 1)

        return tf.data.Dataset.range(1).map(draw_seed)

    def shuffle(self, elements, default_buffer, epoch_seed, length):
        """Shuffles an epoch, inside of what is done with its seed.

        Args:
            elements: `tf.data.Dataset`, the epoch.
            default_buffer: int. Used where the user gave none.
            epoch_seed: int64 tensor of shape `(2,)`.
            length: int. How many they are.

        Returns:
            `tf.data.Dataset` of the same elements.
        """
        if not self.shuffled:
            return elements
        # TensorFlow reserves it, whether there are so many images or not.
        buffer = min(self.buffer or default_buffer, length)
        seed = shuffle_seed(epoch_seed, 0)
        return elements.shuffle(
            buffer, seed=seed, reshuffle_each_iteration=False
        )

    def within_share(self):
        """Returns the order of a share that is read by itself.

        Every share is shuffled in its own way.

        Returns:
            `EpochOrder`.
        """
        seed = None if self.seed is None else self.seed + self.shard[0]
        return dataclasses.replace(self, seed=seed, shard=(0, 1))

    def share(self, elements, length):
        """Returns this share of an epoch.

        It is every `count`-th element, so that the shares' batches of the same
        number are together those of the whole. All shares are equally long;
        what cannot be shared out is left out.

        Args:
            elements: `tf.data.Dataset`, the epoch in its order.
            length: int. How many they are.

        Returns:
            `tf.data.Dataset`.
        """
        index, count = self.shard
        if count == 1:
            return elements
        return elements.take(length // count * count).shard(count, index)

    def share_length(self, length):
        """Returns how many of `length` elements are in each share."""
        index, count = self.shard
        if length < count:
            raise ValueError(
                f"`shard` must leave an image for each share, of {length}. "
                f"Received: shard={self.shard}"
            )
        return length // count


def fold(seed, number):
    """Returns the seed of the `number`-th of what has `seed`."""
    tf = require("tensorflow")
    number = tf.cast(number, "int64")  # Whose type the new seed has.
    return tf.random.experimental.stateless_fold_in(seed, number)


def shuffle_seed(epoch_seed, number):
    """Returns the seed of the `number`-th shuffling of an epoch.

    Args:
        epoch_seed: int64 tensor of shape `(2,)`.
        number: int. Must differ between what is shuffled.

    Returns:
        int64 scalar tensor, for the graph that it is made in.
    """
    # TensorFlow's own seed, for this function's graph alone: the user's can be
    # 0, and then TensorFlow compares the other one, which is not known yet.
    require("tensorflow").compat.v1.set_random_seed(1)
    # Folding hashes the whole seed into its first part.
    return fold(epoch_seed, number)[0]
