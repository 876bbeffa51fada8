import warnings

import numpy as np

from keras_mim._requirements import require
from keras_mim.data._walk import printable

MAX_NAMES = 10
REASONS = (
    "it is damaged, truncated, larger than `max_pixels` allows, or no JPEG, "
    "PNG, WebP, BMP or GIF"
)


def report_unreadable(images, num_files, names, on_error):
    """Passes an epoch's images on and reports those that are missing.

    Errors are ignored where images are decoded, which costs nothing, so an
    unreadable file shows as a gap in the positions. What was missing is kept
    in the iterator itself: epochs that overlap or are abandoned halfway do
    not disturb each other, and an abandoned one reports nothing.

    Args:
        images: `tf.data.Dataset` of `(position, image, order)` in the order of
            the positions, int64 from 0, with gaps where files were unreadable.
            `image` may be a tuple, such as an image and its label. `order`,
            int64 of shape `(num_files,)`, has the number of the file at each
            position. At position `num_files` there is no image: all files
            were tried. What follows is passed on.
        num_files: int. How many files an epoch has.
        names: list of strings. The name of each file.
        on_error: str. `"skip"` warns once at the end of the epoch,
            `"raise"` fails at the first gap.

    Returns:
        `tf.data.Dataset` of `image`. It fails at the end of an epoch in which
        no file was readable.
    """
    tf = require("tensorflow")

    def find_gap(state, element):
        expected, missing = state
        position, image, order = element
        missing = tf.concat([missing, order[expected:position]], axis=0)
        must_report = position == num_files
        if on_error == "raise":
            must_report |= tf.size(missing) > 0
        is_image = tf.cond(must_report, lambda: report(missing), lambda: True)
        return (position + 1, missing), (is_image, image)

    def report(missing):
        # Python runs only when there is something to say, not per image.
        return tf.numpy_function(
            lambda missing: warn_or_raise(missing, num_files, names, on_error),
            [missing],
            "bool",
        )

    start = (tf.constant(0, "int64"), tf.zeros((0,), "int64"))
    images = images.scan(start, find_gap)
    images = images.filter(lambda is_image, image: is_image)
    return images.map(lambda is_image, image: image)


def warn_or_raise(missing, num_files, names, on_error):
    """Warns of, or raises for, the files whose numbers are in `missing`.

    They are some of the `num_files` that were to be read.

    Returns:
        `False`: the element that asked for the report is no image.
    """
    if not len(missing):
        return np.False_
    if on_error == "raise":
        raise ValueError(
            f"{printable(names[missing[0]])} cannot be read as an image: "
            f'{REASONS}. Pass `on_error="skip"` to leave such files out'
        )
    # Sorted, so that Python shows the same warning once, not every epoch.
    listing = "\n".join(
        sorted(printable(names[number]) for number in missing)[:MAX_NAMES]
        + (["..."] if len(missing) > MAX_NAMES else [])
    )
    if len(missing) == num_files:
        raise ValueError(
            f"None of the {num_files} files can be read as an image "
            f"(JPEG, PNG, WebP, BMP or GIF):\n{listing}"
        )
    warnings.warn(
        f"{len(missing)} of {num_files} files were skipped in this epoch, "
        f"as they cannot be read as images:\n{listing}",
        # This line: the caller is TensorFlow's machinery, not the user.
        stacklevel=1,
    )
    return np.False_
