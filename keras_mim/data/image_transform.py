import numpy as np

from keras_mim.data.checks import check_choice
from keras_mim.data.checks import check_image_shape
from keras_mim.data.checks import check_range
from keras_mim.data.decoding import crop
from keras_mim.data.decoding import decode_window
from keras_mim.data.resizing import resize
from keras_mim.data.windows import center_window
from keras_mim.data.windows import placed_window
from keras_mim.data.windows import random_window
from keras_mim.normalization import Normalization
from keras_mim.ops import require


class ImageTransform:
    """Crops, resizes, flips and normalises one image inside `tf.data`.

    The arguments are those of `ImagePipeline`, which explains them.
    """

    def __init__(
        self,
        image_shape,
        augment,
        scale,
        ratio,
        flip,
        crop_ratio,
        normalization,
        interpolation,
        crop,
        dtype,
    ):
        check_image_shape(image_shape)
        check_range("scale", scale, maximum=1)
        check_range("ratio", ratio)
        if not 0 < crop_ratio <= 1:
            raise ValueError(
                "`crop_ratio` must be above 0 and at most 1. "
                f"Received: crop_ratio={crop_ratio}"
            )
        check_choice("interpolation", interpolation, ("bicubic", "bilinear"))
        check_choice("crop", crop, ("random_size", "fixed_size", "center"))
        check_choice("dtype", dtype, ("float32", "uint8"))
        self.dtype = dtype
        self.image_shape = tuple(int(value) for value in image_shape)
        self.augment = augment
        self.crop = crop if augment else "center"
        self.scale = scale
        self.ratio = ratio
        self.flip = flip
        self.crop_ratio = crop_ratio
        self.interpolation = interpolation
        self.normalization = Normalization.resolve(
            normalization, image_shape[2]
        )

    def from_file(self, data, seed):
        """Transforms the content of an image file.

        Args:
            data: string tensor, a JPEG, PNG, WebP or BMP.
            seed: integer tensor of shape `(2,)`. Decides the crop and flip.

        Returns: tensor of shape `image_shape`, of the `dtype` asked for.
        """
        pixels = decode_window(
            data,
            self.image_shape[2],
            lambda size: self.choose_window(size, seed),
        )
        return self.finish(pixels, seed)

    def from_pixels(self, pixels, seed):
        """Likewise for pixels in [0, 255], `(height, width, channels)`."""
        tf = require("tensorflow")
        window = self.choose_window(tf.shape(pixels)[:2], seed)
        return self.finish(crop(pixels, window), seed)

    def choose_window(self, size, seed):
        if self.crop == "random_size":
            return random_window(size, self.scale, self.ratio, seed)
        wanted = self.image_shape[:2], self.crop_ratio
        if self.crop == "fixed_size":
            return placed_window(size, *wanted, seed)
        return center_window(size, *wanted)

    def finish(self, pixels, seed):
        tf = require("tensorflow")
        pixels = resize(pixels, self.image_shape[:2], self.interpolation)
        # Bicubic weights are partly negative: they overshoot at edges.
        pixels = tf.clip_by_value(pixels, 0, 255)
        if self.augment and self.flip:
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
