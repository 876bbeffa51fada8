import numpy as np

from keras_mim._checks import check_choice
from keras_mim._checks import check_image_shape
from keras_mim._requirements import require
from keras_mim.data._decoding import crop_pixels
from keras_mim.data._decoding import decode_window
from keras_mim.data._resizing import resize
from keras_mim.data._value_range import scale_pixels
from keras_mim.normalization import Normalization


class ImageTransform:
    """Crops, resizes, flips and normalizes one image inside `tf.data`.

    Args:
        image_shape: tuple of ints `(height, width, channels)`, in pixels.
        crop: `Crop`. Where the window of an image lies.
        flip: bool. Whether to flip half of the images.
        interpolation: str. `"bicubic"` or `"bilinear"`.
        normalization: `Normalization` or `None`.
        dtype: str. `"float32"`, or `"uint8"` for pixels as they are.
        max_pixels: int. The largest encoded image that is decoded.
    """

    def __init__(
        self,
        image_shape,
        crop,
        flip,
        interpolation,
        normalization,
        dtype,
        max_pixels,
    ):
        check_choice("interpolation", interpolation, ("bicubic", "bilinear"))
        check_choice("dtype", dtype, ("float32", "uint8"))
        self.image_shape = check_image_shape(image_shape)
        self.crop = crop
        self.flip = flip
        self.interpolation = interpolation
        self.normalization = Normalization.resolve(
            normalization, self.image_shape[2]
        )
        self.dtype = dtype
        self.max_pixels = int(max_pixels)

    def from_file(self, data, seed):
        """Transforms the content of an image file.

        Args:
            data: string tensor, a JPEG, PNG, WebP, BMP or GIF.
            seed: integer tensor of shape `(2,)`. Decides the crop and flip.

        Returns:
            Tensor of shape `image_shape`, of the `dtype` asked for.
        """
        pixels = decode_window(
            data,
            self.image_shape[2],
            lambda size: self.choose_window(size, seed),
            self.resize,
            self.image_shape[:2],
            self.max_pixels,
        )
        return self.finish(pixels, seed)

    def from_pixels(self, pixels, seed, value_range):
        """Transforms pixels.

        Args:
            pixels: tensor of shape `(height, width, channels)`.
            seed: integer tensor of shape `(2,)`. Decides the crop and flip.
            value_range: pair of floats. The values that are black and white.

        Returns:
            Tensor of shape `image_shape`, of the `dtype` asked for.
        """
        tf = require("tensorflow")
        window = self.choose_window(tf.shape(pixels)[:2], seed)
        pixels = scale_pixels(crop_pixels(pixels, window), value_range)
        return self.finish(self.resize(pixels, self.image_shape[:2]), seed)

    def choose_window(self, size, seed):
        """Returns the window of an image that has `size`."""
        return self.crop.choose_window(size, self.image_shape[:2], seed)

    def resize(self, pixels, size):
        """Resizes a window."""
        return resize(pixels, size, self.interpolation)

    def finish(self, pixels, seed):
        """Clips, flips and normalizes the pixels of a resized window."""
        tf = require("tensorflow")
        # Bicubic weights are partly negative: they overshoot at edges.
        pixels = tf.clip_by_value(pixels, 0, 255)
        if self.flip:
            # Another seed than the window's, or the two would be related.
            pixels = tf.image.stateless_random_flip_left_right(
                pixels, tf.random.experimental.stateless_fold_in(seed, 1)
            )
        if self.dtype == "uint8":
            return tf.cast(tf.round(pixels), "uint8")
        # In whole rows, with the statistics repeated for each column:
        # TensorFlow takes three times as long for a last axis of 3. And in
        # two passes over the pixels, not three.
        height, width, _ = self.image_shape
        mean = np.asarray(self.normalization.mean * width, "float32")
        std = np.asarray(self.normalization.std * width, "float32")
        rows = tf.reshape(pixels, (height, -1))
        rows = (rows - 255 * mean) / (255 * std)
        return tf.reshape(rows, self.image_shape)
