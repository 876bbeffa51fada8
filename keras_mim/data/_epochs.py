from keras_mim._requirements import require
from keras_mim.data._epoch_order import fold
from keras_mim.data._unreadable_files import report_unreadable

NO_FILE = -1


def record_epochs(records, length, load, order, buffer=None):
    """Loads a stream of records, in a new order in each epoch.

    Args:
        records: callable. Takes the seed of an epoch, an int64 tensor of shape
            `(2,)`, and returns the `tf.data.Dataset` of its records.
        length: int. How many they are.
        load: callable. Takes a record and an integer seed of shape `(2,)`,
            and returns an image, or an image and its label.
        order: `EpochOrder`.
        buffer: int. How many records to draw the next one from, where `order`
            does not say it. Defaults to `None`: all.

    Returns:
        `tf.data.Dataset` of what `load` returns.
    """
    tf = require("tensorflow")
    share_length = order.share_length(length)

    def order_epoch(epoch_seed):
        epoch = order.shuffle(
            records(epoch_seed), buffer or length, epoch_seed, length
        )
        return order.share(epoch.enumerate(), length), epoch_seed

    @tf.autograph.experimental.do_not_convert
    def read(numbered, epoch_seed):
        position, record = numbered
        return load(record, fold(epoch_seed, position))

    epochs = _map_epochs(order_epoch, read, order)
    return _assert_length(epochs, share_length)


def file_epochs(names, load, blank, order, on_error):
    """Loads files by number, and copes with those that are unreadable.

    An epoch is an order of the files and a seed. Both are known before the
    first file is read, so that a gap in what comes out can be given a name.

    Args:
        names: list of strings, one for each file.
        load: callable. Takes the number of a file and an integer seed of
            shape `(2,)`, and returns an image, or an image and its label.
        blank: nested tensors of the shapes and dtypes that `load` returns.
        order: `EpochOrder`.
        on_error: str. `"skip"` or `"raise"`. In a shuffled epoch, others
            are read twice in the place of those that are skipped; in a shard
            of any, as all shards must have the same length.

    Returns:
        `tf.data.Dataset` of what `load` returns.
    """
    tf = require("tensorflow")
    num_files = order.share_length(len(names))
    # An epoch to train on has a known length. Where it has none, Keras on
    # TensorFlow asks for one batch too many, and the step that fails for want
    # of it still decays the weights and counts as one.
    replaces = on_error == "skip" and (order.shuffled or order.shard[1] > 1)

    def order_epoch(epoch_seed):
        numbers = tf.data.Dataset.range(len(names))
        numbers = order.shuffle(numbers, len(names), epoch_seed, len(names))
        numbers = order.share(numbers, len(names)).batch(num_files)
        numbers = numbers.get_single_element()
        files = tf.data.Dataset.from_tensor_slices(numbers)
        # No file, behind the last, so that a gap at the end shows too.
        epoch = files.concatenate(tf.data.Dataset.range(NO_FILE, 0))
        if replaces:
            epoch = epoch.concatenate(files.repeat())
        return epoch.enumerate(), (epoch_seed, numbers)

    @tf.autograph.experimental.do_not_convert
    def read(numbered, epoch):
        (position, number), (epoch_seed, numbers) = numbered, epoch
        image = tf.cond(
            number == NO_FILE,
            lambda: blank,
            # The file's own seed: what happens to it in an epoch does not
            # depend on where in the order it comes.
            lambda: load(number, fold(epoch_seed, number)),
        )
        return position, image, numbers

    images = _map_epochs(order_epoch, read, order).ignore_errors()
    images = report_unreadable(images, num_files, names, on_error)
    if replaces:
        images = images.take(num_files)
    if replaces or on_error == "raise":
        images = _assert_length(images, num_files)
    return images


def batches(images, batch_size, drop_remainder, class_names=None):
    """Batches elements, has the next batches ready, and names the classes."""
    tf = require("tensorflow")
    options = tf.data.Options()
    # tf.data's tuner sleeps twice as long each time, and the end of an epoch
    # waits until it wakes: for up to as long as the epoch took.
    options.autotune.enabled = False
    images = images.batch(batch_size, drop_remainder)
    images = images.prefetch(2).with_options(options)
    if class_names is not None:
        images.class_names = class_names
    return images


def _map_epochs(order_epoch, read, order):
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

    return (
        order.epoch_seeds()
        .flat_map(elements)
        .map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    )


def _assert_length(elements, length):
    tf = require("tensorflow")
    return elements.apply(tf.data.experimental.assert_cardinality(length))
