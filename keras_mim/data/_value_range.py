import warnings

import numpy as np

from keras_mim._checks import check
from keras_mim._checks import is_number
from keras_mim._requirements import require

WHITE = {"uint8": 255, "uint16": 65535}
# A sample to look at costs nothing, however many images there are.
MAX_SAMPLE = 64


def find_value_range(images, value_range):
    """Says which values of arrays are black and white, and looks at them.

    Args:
        images: array of shape `(num_images, height, width, channels)`.
        value_range: pair of numbers, or `None` for the default of the dtype.

    Returns:
        Pair of floats `(black, white)`.

    Raises:
        ValueError: If `value_range` is no range, if it must be given, if
            values are not finite, or if all lie outside.
    """
    if value_range is not None:
        right = (
            isinstance(value_range, (tuple, list))
            and len(value_range) == 2
            and all(map(is_number, value_range))
            and value_range[0] < value_range[1]
        )
        expected = "(black, white) with black < white, or None"
        check(right, "value_range", value_range, expected)
    dtype = images.dtype
    if dtype.kind not in "uif" or (
        value_range is None and dtype.kind != "f" and dtype.name not in WHITE
    ):
        raise ValueError(
            "`images` must be uint8, uint16 or float; other integers need "
            "`value_range=(black, white)`, the values that are black and "
            f"white. Received: dtype {dtype}"
        )
    if dtype == "uint8" and value_range is None:
        return 0.0, 255.0
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        bad = ~np.isfinite(images)
        place = np.argmax(bad.any(axis=(1, 2, 3)))
        raise ValueError(
            "`images` must be finite; replace values that say that there is "
            f"no data. Received: {bad.sum()} that are NaN or infinite, the "
            f"first in image {place}"
        )
    if value_range is None:
        return _default_range(dtype, low, high)
    black, white = map(float, value_range)
    sample = images[:: -(-len(images) // MAX_SAMPLE)]
    outside = float(((sample < black) | (sample > white)).mean())
    seen = f"Images have values from {low:g} to {high:g}"
    if low >= white or high <= black:
        raise ValueError(
            f"{seen}, none of them inside `value_range`. "
            f"Received: value_range={value_range}"
        )
    if outside > 0.1:
        warnings.warn(
            f"{seen}; {outside:.0%} of them lie outside of "
            f"`value_range={value_range}` and become black or white",
            stacklevel=3,
        )
    return black, white


def scale_pixels(pixels, value_range):
    """Brings values to [0, 255], where they are not yet.

    Args:
        pixels: tensor of any shape.
        value_range: pair of floats `(black, white)`.

    Returns:
        uint8 tensor as it was, or float32 tensor.
    """
    tf = require("tensorflow")
    black, white = value_range
    if (black, white) == (0, 255):
        return pixels
    pixels = (tf.cast(pixels, "float32") - black) * (255 / (white - black))
    return tf.clip_by_value(pixels, 0, 255)


def _default_range(dtype, low, high):
    """Returns the range where none was given, if the values look like it."""
    seen = f"`images` have values from {low:g} to {high:g}"
    if dtype == "uint16":
        if high < WHITE["uint16"] / 8:
            warnings.warn(
                f"{seen}, and so are nearly black: white is 65535 for uint16. "
                "Pass `value_range`, such as (0, 4095) for 12 bits",
                stacklevel=4,
            )
        return 0.0, 65535.0
    # In [0, 1] is what most programs have floats in, and would be black here.
    if low < 0 or high > 255 or high <= 1:
        raise ValueError(
            f"{seen}, but floats must lie in [0, 255], or `value_range` must "
            "tell the values that are black and white, such as "
            f"`value_range=({min(low, 0):g}, {_round_up(high):g})`"
        )
    return 0.0, 255.0


def _round_up(high):
    """Returns a likely white: 1, 255 or the next number of one digit."""
    for white in (1, 255):
        if high <= white:
            return white
    digit = 10 ** np.floor(np.log10(high))
    return np.ceil(high / digit) * digit
