from keras_mim.data.unreadable import watch_epoch
from keras_mim.ops import require


def record_epochs(records, load, buffer, seed):
    """Loads a stream of records, in a new order in each epoch.

    Args:
        records: `tf.data.Dataset`.
        load: callable. Takes a record and an integer seed of shape `(2,)`,
            and returns an image, or an image and its label.
        buffer: int. How many records to draw the next one from, or `None`
            to keep their order.
        seed: int or `None`.

    Returns: `tf.data.Dataset` of what `load` returns.
    """
    tf = require("tensorflow")
    if buffer is not None:
        records = records.shuffle(buffer, seed=seed)
    return tf.data.Dataset.zip(records, _seeds(seed)).map(
        tf.autograph.experimental.do_not_convert(load),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def file_epochs(names, load, buffer, seed, on_error):
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
        on_error: string. `"skip"` or `"raise"`. In a shuffled epoch, others
            are read twice in the place of those that are skipped.

    Returns: `tf.data.Dataset` of what `load` returns.
    """
    tf = require("tensorflow")
    # An epoch to train on has a known length. Where it has none, Keras on
    # TensorFlow asks for one batch too many, and the step that fails for want
    # of it still decays the weights and counts as one.
    fill = on_error == "skip" and buffer is not None
    num_files = len(names)
    orders = tf.data.Dataset.range(num_files)
    if buffer is not None:
        orders = orders.shuffle(buffer, seed=seed)
    orders = orders.batch(num_files)

    @tf.autograph.experimental.do_not_convert
    def read_epoch(order, epoch_seed):
        def read(position, number):
            # The file's own seed: what happens to it in an epoch does not
            # depend on where in the order it comes.
            file_seed = tf.random.experimental.stateless_fold_in(
                epoch_seed, number
            )
            return position, load(number, file_seed)

        images = tf.data.Dataset.zip(
            tf.data.Dataset.range(num_files),
            tf.data.Dataset.from_tensor_slices(order),
        )
        images = images.map(
            read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        images = images.ignore_errors()
        epoch = watch_epoch(images, order, names, on_error)
        if fill:
            again = images.map(lambda position, image: image).repeat()
            epoch = epoch.concatenate(again).take(num_files)
        return epoch

    images = tf.data.Dataset.zip(orders, _seeds(seed)).flat_map(read_epoch)
    if fill or on_error == "raise":
        images = images.apply(
            tf.data.experimental.assert_cardinality(num_files)
        )
    return images


def _seeds(seed):
    """Endless random seeds, others each time it is iterated over."""
    tf = require("tensorflow")
    return tf.data.Dataset.random(
        seed=seed, rerandomize_each_iteration=True
    ).batch(2)


def batches(images, batch_size, drop_remainder):
    """Batches elements, and has the next batches ready."""
    tf = require("tensorflow")
    options = tf.data.Options()
    # tf.data's tuner sleeps twice as long each time, and the end of an epoch
    # waits until it wakes: for up to as long as the epoch took.
    options.autotune.enabled = False
    images = images.batch(batch_size, drop_remainder)
    return images.prefetch(2).with_options(options)
