import dataclasses
import math

from keras_mim._checks import check
from keras_mim._checks import check_choice
from keras_mim._checks import is_number
from keras_mim._requirements import require
from keras_mim.data._checks import check_range

# As in torchvision's `RandomResizedCrop` and timm's.
NUM_ATTEMPTS = 10


@dataclasses.dataclass(frozen=True)
class Crop:
    """Chooses the window of an image that is resized to the target.

    Args:
        kind: str. `"random_size"`, `"fixed_size"` or `"center"`. The pipeline
            calls it `crop`.
        scale: pair of floats, for `"random_size"`.
        ratio: pair of floats, for `"random_size"`.
        crop_ratio: float, for the others.
    """

    kind: str
    scale: tuple
    ratio: tuple
    crop_ratio: float

    def __post_init__(self):
        kinds = ("random_size", "fixed_size", "center")
        check_choice("crop", self.kind, kinds)
        check_range("scale", self.scale, most=1)
        check_range("ratio", self.ratio)
        share = self.crop_ratio
        right = is_number(share) and 0 < share <= 1
        check(right, "crop_ratio", share, "above 0 and at most 1")

    def centered(self):
        """Returns the `Crop` that takes the center."""
        return dataclasses.replace(self, kind="center")

    def choose_window(self, size, target_size, seed):
        """Returns the window for an image.

        Args:
            size: int32 tensor `(height, width)` of the image, in pixels.
            target_size: pair of ints. Height and width wanted, in pixels.
            seed: integer tensor of shape `(2,)`.

        Returns:
            int32 tensor `(top, left, height, width)`, in pixels.
        """
        if self.kind == "random_size":
            return random_window(size, self.scale, self.ratio, seed)
        if self.kind == "fixed_size":
            return placed_window(size, target_size, self.crop_ratio, seed)
        return center_window(size, target_size, self.crop_ratio)


def random_window(size, scale, ratio, seed):
    """Draws the window of a random resized crop.

    Reference: torchvision's `RandomResizedCrop.get_params`, the same rule:
    the area is uniform, the aspect ratio log-uniform, the first of ten
    attempts that fits into the image is taken, and if none fits the largest
    centered window whose aspect ratio is in range. The attempts are drawn
    together rather than one after the other, and the random numbers are
    TensorFlow's.

    Args:
        size: int32 tensor `(height, width)` of the image, in pixels.
        scale: pair of floats. Range of the window's share of the area.
        ratio: pair of floats. Range of its width divided by its height.
        seed: integer tensor of shape `(2,)`. The same seed gives the same
            window.

    Returns:
        int32 tensor `(top, left, height, width)`, in pixels.
    """
    tf = require("tensorflow")
    draws = tf.random.stateless_uniform((4, NUM_ATTEMPTS), seed)
    height = tf.cast(size[0], "float32")
    width = tf.cast(size[1], "float32")
    area = height * width * (scale[0] + (scale[1] - scale[0]) * draws[0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect_ratio = tf.exp(low + (high - low) * draws[1])
    heights = tf.round(tf.sqrt(area / aspect_ratio))
    widths = tf.round(tf.sqrt(area * aspect_ratio))
    tops = tf.floor(draws[2] * (height - heights + 1))
    lefts = tf.floor(draws[3] * (width - widths + 1))
    fits = (
        (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    )
    windows = tf.stack([tops, lefts, heights, widths], axis=1)
    first = windows[tf.argmax(tf.cast(fits, "int32"))]
    window = tf.where(
        tf.reduce_any(fits), first, _fallback_window(height, width, ratio)
    )
    return tf.cast(window, "int32")


def center_window(size, target_size, crop_ratio):
    """Gives the centered window that an image is judged on.

    The largest window with the target's aspect ratio that fits into the
    image, shrunk by `crop_ratio`. For a square target it is what MAE's
    evaluation sees: resizing the short side to 256 and cropping the central
    224 pixels keeps 0.875 of the short side. Here the crop comes first and
    in whole pixels, so it may differ from that by a pixel's fraction.

    Args:
        size: int32 tensor `(height, width)` of the image, in pixels.
        target_size: pair of ints. Height and width wanted, in pixels.
        crop_ratio: float in (0, 1]. Share of the side that is kept.

    Returns:
        int32 tensor `(top, left, height, width)`, in pixels.
    """
    tf = require("tensorflow")
    size = tf.cast(size, "float32")
    target = tf.constant(target_size, "float32")
    sides = tf.round(target * tf.reduce_min(size / target) * crop_ratio)
    sides = tf.clip_by_value(sides, 1, size)
    corner = tf.floor((size - sides) / 2)
    return tf.cast(tf.concat([corner, sides], axis=0), "int32")


def placed_window(size, target_size, crop_ratio, seed):
    """Puts `center_window` at a random place.

    Args:
        size, target_size, crop_ratio: as in `center_window`.
        seed: integer tensor of shape `(2,)`. The same seed gives the same
            window.

    Returns:
        int32 tensor `(top, left, height, width)`, in pixels.
    """
    tf = require("tensorflow")
    sides = center_window(size, target_size, crop_ratio)[2:]
    room = tf.cast(size - sides + 1, "float32")
    corner = tf.floor(tf.random.stateless_uniform((2,), seed) * room)
    return tf.concat([tf.cast(corner, "int32"), sides], axis=0)


def _fallback_window(height, width, ratio):
    """The largest centered window with an aspect ratio inside `ratio`."""
    tf = require("tensorflow")
    # A side below half a pixel would round to an empty window.
    heights = tf.maximum(tf.minimum(height, tf.round(width / ratio[0])), 1)
    widths = tf.maximum(tf.minimum(width, tf.round(height * ratio[1])), 1)
    return tf.stack(
        [
            tf.floor((height - heights) / 2),
            tf.floor((width - widths) / 2),
            heights,
            widths,
        ]
    )
