import numpy as np

from keras_mim._checks import check
from keras_mim._checks import check_class_names
from keras_mim._requirements import require
from keras_mim.data._checks import check_encoded

MAX_NAMES = 10


def check_source(image_shape, labels, class_names):
    """Returns the class names as a list, or raises a ValueError.

    Args:
        image_shape: tuple of ints. Which files must be able to give.
        labels: bool. Whether labels are read too.
        class_names: sequence of str, or `None`, as it must be without labels.

    Returns:
        list of str, or `None`.
    """
    check_encoded(image_shape, labels)
    right = labels or class_names is None
    check(right, "class_names", class_names, "None, unless `labels=True`")
    return check_class_names(class_names)


def class_positions(numbers, names, class_names, source):
    """Translates the numbers of classes by their names.

    Args:
        numbers: int array. What is to be translated: positions in `names`.
        names: list of str. The classes as the source numbers them.
        class_names: list of str. The classes as they are to be numbered.
        source: str. Where the labels are from, for the error.

    Returns:
        int32 array: positions in `class_names`.

    Raises:
        ValueError: If it lacks a class that is among `numbers`.
    """
    place = {name: i for i, name in enumerate(class_names)}
    lacking = [names[i] for i in np.unique(numbers) if names[i] not in place]
    if lacking:
        raise ValueError(
            f"`class_names` must hold all classes of {source}, but lacks "
            f"{_listing(lacking)}. Received: class_names="
            f"{_listing(class_names)}"
        )
    table = np.array([place.get(name, -1) for name in names], "int32")
    return table[numbers]


def label_translation(names, class_names, source):
    """Returns what translates the labels of a source, and checks them.

    Args:
        names: list of str. The classes as the source numbers them.
        class_names: list of str. The classes as they are to be numbered.
        source: str. Its name, for the error.

    Returns:
        Function from an integer tensor to an int32 tensor, for graphs.
    """
    tf = require("tensorflow")
    every = np.arange(len(names))
    positions = class_positions(every, names, class_names, source)

    def translate(labels):
        labels = assert_labels(labels, len(names))
        return labels if names == class_names else tf.gather(positions, labels)

    return translate


def assert_labels(labels, num_classes):
    """Returns labels as int32, in a graph that fails on wrong ones.

    Args:
        labels: integer tensor of any shape.
        num_classes: int. Labels must be from 0 to one less.

    Returns:
        int32 tensor of the same shape.
    """
    tf = require("tensorflow")
    labels = tf.cast(labels, "int64")
    # Negative numbers are large ones without a sign. For single labels every
    # operation counts: few are taken, and not `tf.debugging`'s branches.
    right = tf.bitcast(labels, "uint64") < num_classes
    one = labels.shape.rank == 0
    check = tf.raw_ops.Assert(
        condition=right if one else tf.reduce_all(right),
        data=[
            f"labels must be from 0 to {num_classes - 1} (images without a "
            "label have -1). Wrong are:",
            labels if one else tf.boolean_mask(labels, ~right),
        ],
        summarize=10,
    )
    # Where it is run at once, there is no operation to wait for.
    with tf.control_dependencies([] if check is None else [check]):
        return tf.cast(labels, "int32")


def _listing(names):
    more = ["..."] if len(names) > MAX_NAMES else []
    return "[" + ", ".join([*map(repr, names[:MAX_NAMES]), *more]) + "]"
