from keras_mim.data.unreadable import watch_epoch
from keras_mim.ops import require

NO_FILE = -1
# Lengths, as `tf.data` has them.
UNKNOWN = -2


def epoch_seeds(seed, first_epoch):
    """Gives the seed of an epoch, the next one's whenever it is read.

    Everything random of an epoch follows from it, so that an epoch can be had
    without those before it.

    Args:
        seed: int, or `None` to draw one.
        first_epoch: int. The number of the first epoch.

    Returns: `tf.data.Dataset` of an int64 tensor of shape `(2,)`.
    """
    tf = require("tensorflow")
    with tf.device("CPU"):
        if seed is None:
            seed = tf.random.uniform((), maxval=2**62, dtype="int64")
        run_seed = tf.stack([tf.cast(seed, "int64"), 0])
        # Not a count of iterators: Keras makes some that it does not read.
        next_epoch = tf.Variable(first_epoch, dtype="int64", trainable=False)

    def draw(_):
        return fold(run_seed, next_epoch.assign_add(1) - 1)

    return tf.data.Dataset.range(1).map(draw)


def fold(seed, number):
    """Returns the seed of the `number`-th of what has `seed`."""
    tf = require("tensorflow")
    number = tf.cast(number, "int64")  # Whose type the new seed has.
    return tf.random.experimental.stateless_fold_in(seed, number)


def record_epochs(records, load, buffer, seed, first_epoch, shard=(0, 1)):
    """Loads a stream of records, in a new order in each epoch.

    Args:
        records: `tf.data.Dataset`.
        load: callable. Takes a record and an integer seed of shape `(2,)`,
            and returns an image, or an image and its label.
        buffer: int. How many records to draw the next one from, or `None`
            to keep their order.
        seed: int or `None`.
        first_epoch: int, as in `epoch_seeds`.
        shard: pair of ints, as in `_share`.

    Returns: `tf.data.Dataset` of what `load` returns.
    """
    tf = require("tensorflow")
    length = records.cardinality()

    def order_epoch(epoch_seed):
        epoch = _shuffled(records, buffer, epoch_seed).enumerate()
        return _share(epoch, length, shard), epoch_seed

    @tf.autograph.experimental.do_not_convert
    def read(numbered, epoch_seed):
        position, record = numbered
        return load(record, fold(epoch_seed, position))

    epochs = _map_epochs(order_epoch, read, seed, first_epoch)
    return _of_length(epochs, length // shard[1])


def file_epochs(
    names, load, buffer, seed, first_epoch, shard=(0, 1), on_error="skip"
):
    """Loads files by number, and copes with those that are unreadable.

    An epoch is an order of the files and a seed. Both are known before the
    first file is read, so that a gap in what comes out can be given a name.

    Args:
        names: list of strings, one for each file.
        load: callable. Takes the number of a file and an integer seed of
            shape `(2,)`, and returns an image, or an image and its label.
        buffer: int. How many files to draw the next one from, or `None` to
            keep their order.
        seed: int or `None`.
        first_epoch: int, as in `epoch_seeds`.
        shard: pair of ints, as in `_share`.
        on_error: string. `"skip"` or `"raise"`. In a shuffled epoch, others
            are read twice in the place of those that are skipped; in a shard
            of any, as all shards must have the same length.

    Returns: `tf.data.Dataset` of what `load` returns.
    """
    tf = require("tensorflow")
    # An epoch to train on has a known length. Where it has none, Keras on
    # TensorFlow asks for one batch too many, and the step that fails for want
    # of it still decays the weights and counts as one.
    fill = on_error == "skip" and (buffer is not None or shard[1] > 1)
    num_files = len(names) // shard[1]

    def order_epoch(epoch_seed):
        numbers = tf.data.Dataset.range(len(names))
        numbers = _shuffled(numbers, buffer, epoch_seed)
        numbers = _share(numbers, len(names), shard).batch(num_files)
        order = numbers.get_single_element()
        files = tf.data.Dataset.from_tensor_slices(order)
        # No file, behind the last, so that a gap at the end shows too.
        epoch = files.concatenate(tf.data.Dataset.range(NO_FILE, 0))
        if fill:
            epoch = epoch.concatenate(files.repeat())
        return epoch.enumerate(), (epoch_seed, order)

    @tf.autograph.experimental.do_not_convert
    def read(numbered, epoch):
        (position, number), (epoch_seed, order) = numbered, epoch
        image = tf.cond(
            number == NO_FILE,
            lambda: blank,
            # The file's own seed: what happens to it in an epoch does not
            # depend on where in the order it comes.
            lambda: load(number, fold(epoch_seed, number)),
        )
        return position, image, order

    blank = _blank(load)
    images = _map_epochs(order_epoch, read, seed, first_epoch)
    images = watch_epoch(images.ignore_errors(), num_files, names, on_error)
    if fill:
        images = images.take(num_files)
    known = fill or on_error == "raise"
    return _of_length(images, num_files if known else UNKNOWN)


def batches(images, batch_size, drop_remainder):
    """Batches elements, and has the next batches ready."""
    tf = require("tensorflow")
    options = tf.data.Options()
    # tf.data's tuner sleeps twice as long each time, and the end of an epoch
    # waits until it wakes: for up to as long as the epoch took.
    options.autotune.enabled = False
    images = images.batch(batch_size, drop_remainder)
    return images.prefetch(2).with_options(options)


def _map_epochs(order_epoch, read, seed, first_epoch):
    """Maps what an epoch consists of, in parallel and in order.

    Outside of the epoch: TensorFlow would prepare a function inside of it
    anew for each, for as long as it takes to read hundreds of images.
    """
    tf = require("tensorflow")

    @tf.autograph.experimental.do_not_convert
    def elements(epoch_seed):
        epoch, shared = order_epoch(epoch_seed)
        shared = tf.data.Dataset.from_tensors(shared).repeat()
        return tf.data.Dataset.zip(epoch, shared)

    epochs = epoch_seeds(seed, first_epoch).flat_map(elements)
    return epochs.map(
        read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def _of_length(elements, length):
    if length == UNKNOWN:
        return elements
    tf = require("tensorflow")
    return elements.apply(tf.data.experimental.assert_cardinality(length))


def _blank(load):
    """Returns zeros of the form that `load` gives."""
    tf = require("tensorflow")
    seed = tf.zeros((2,), "int64")

    @tf.autograph.experimental.do_not_convert
    def load_one(number):
        return load(number, seed)

    loaded = tf.data.Dataset.range(1).map(load_one)
    return tf.nest.map_structure(
        lambda spec: tf.zeros(spec.shape, spec.dtype), loaded.element_spec
    )


def _share(elements, length, shard):
    """Returns one of `count` shares of an epoch, all equally long.

    Every `count`-th element, so that the shares' batches of the same number
    are together those of the whole. What cannot be shared out is left out.

    Args:
        elements: `tf.data.Dataset`, the epoch in its order.
        length: int. How many they are.
        shard: pair of ints `(index, count)`.
    """
    index, count = shard
    if count == 1:
        return elements
    return elements.take(length // count * count).shard(count, index)


def _shuffled(elements, buffer, epoch_seed):
    """Shuffles inside of what is done with an epoch's seed."""
    if buffer is None:
        return elements
    # TensorFlow's own seed, for this function's graph alone: the user's can be
    # 0, and then TensorFlow compares the other one, which is not known yet.
    require("tensorflow").compat.v1.set_random_seed(1)
    # Folding hashes the whole seed into its first part.
    seed = fold(epoch_seed, 0)[0]
    return elements.shuffle(buffer, seed=seed, reshuffle_each_iteration=False)
