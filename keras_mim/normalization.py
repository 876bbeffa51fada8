import dataclasses
import warnings

import keras
import numpy as np

from keras_mim._array_checks import check_rank
from keras_mim._checks import check
from keras_mim._checks import check_counts
from keras_mim._checks import is_number

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@keras.saving.register_keras_serializable(package="keras_mim")
@dataclasses.dataclass(frozen=True)
class Normalization:
    """The mean and deviation that pixels are normalized with, per channel.

    Pixels in [0, 1] become `(pixels - mean) / std`. Every encoder has one, as
    `encoder.normalization`, and saves it with its configuration. Pipelines,
    targets, callbacks and exports read it there, so that images are normalized
    in the same way everywhere.

    Args:
        mean: sequence of float, one per channel, for pixels in [0, 1].
        std: sequence of positive float, one per channel, for pixels in
            [0, 1].

    Example:

    >>> normalization = keras_mim.Normalization(mean=(0.2,), std=(0.3,))
    >>> encoder = keras_mim.encoders.ViT.from_size(
    ...     "tiny", (64, 64, 1), 8, normalization=normalization
    ... )
    >>> images = normalization.normalize(pixels)
    """

    mean: tuple
    std: tuple

    def __post_init__(self):
        for name in ("mean", "std"):
            given = getattr(self, name)
            values = given.tolist() if isinstance(given, np.ndarray) else given
            right = isinstance(values, (tuple, list)) and len(values) > 0
            right = right and all(map(is_number, values))
            check(right, name, given, "one finite number per channel")
            object.__setattr__(self, name, tuple(map(float, values)))
        if len(self.mean) != len(self.std):
            raise ValueError(
                "`mean` and `std` must hold one number per channel each. "
                f"Received: mean={self.mean}, std={self.std}"
            )
        if min(self.std) <= 0:
            raise ValueError(
                f"`std` must be positive. Received: std={self.std}"
            )

    @classmethod
    def for_channels(cls, channels):
        """Returns what is used where nothing else is said.

        Three channels are taken as RGB and get ImageNet's statistics, which
        MAE and SimMIM use. Any other number gets 0.5 and 0.5, which maps
        pixels to [-1, 1].

        Args:
            channels: int. Number of channels.

        Returns:
            `Normalization`.
        """
        check_counts(channels=channels)
        if channels == 3:
            return cls(IMAGENET_MEAN, IMAGENET_STD)
        return cls((0.5,) * channels, (0.5,) * channels)

    @classmethod
    def resolve(cls, normalization, channels):
        """Returns a given normalization, or the default for `None`.

        Args:
            normalization: `Normalization` or `None`.
            channels: int. Number of channels that it must be for.

        Returns:
            `Normalization`.

        Raises:
            ValueError: If it is for another number of channels, or is no
                `Normalization`.
        """
        if normalization is None:
            return cls.for_channels(channels)
        if not isinstance(normalization, cls):
            raise ValueError(
                "`normalization` must be a `keras_mim.Normalization` or None. "
                f"Received: normalization={normalization!r}"
            )
        if normalization.channels != channels:
            raise ValueError(
                "`normalization` must hold one number per channel, expected "
                f"{channels}. Received: normalization={normalization}"
            )
        return normalization

    @property
    def channels(self):
        """int: number of channels."""
        return len(self.mean)

    def normalize(self, pixels):
        """Normalizes pixels.

        Args:
            pixels: Array or tensor of shape `(..., channels)`: floats in
                [0, 1], or bytes (uint8) in [0, 255].

        Returns:
            Float array or tensor of the same shape.
        """
        self._check_channels("pixels", pixels)
        scale = 1
        if keras.backend.standardize_dtype(pixels.dtype) == "uint8":
            scale = 255
        mean = scale * np.asarray(self.mean, "float32")
        std = scale * np.asarray(self.std, "float32")
        if not keras.ops.is_tensor(pixels):
            return (_float_pixels(pixels) - mean) / std
        pixels = keras.ops.cast(
            pixels, keras.backend.result_type(pixels.dtype, "float32")
        )
        mean = keras.ops.convert_to_tensor(mean, pixels.dtype)
        return (pixels - mean) / keras.ops.convert_to_tensor(std, pixels.dtype)

    def as_normalized(self, images):
        """Returns images as a model takes them.

        The one rule of all that takes images: bytes are normalized, floats are
        normalized already.

        Args:
            images: Array or tensor of shape `(..., channels)`: floats,
                normalized, or bytes (uint8).

        Returns:
            Float array or tensor of the same shape.

        Raises:
            ValueError: If they are of another dtype.
        """
        self._check_channels("images", images)
        if _checked_dtype(images) == "uint8":
            return self.normalize(images)
        return images

    def denormalize(self, images):
        """Turns normalized images back into pixels.

        Args:
            images: Float array or tensor of shape `(..., channels)`.

        Returns:
            Float array or tensor of the same shape: pixels in [0, 1].
        """
        self._check_channels("images", images)
        mean = np.asarray(self.mean, "float32")
        std = np.asarray(self.std, "float32")
        if not keras.ops.is_tensor(images):
            return _float_pixels(images) * std + mean
        images = keras.ops.cast(
            images, keras.backend.result_type(images.dtype, "float32")
        )
        std = keras.ops.convert_to_tensor(std, images.dtype)
        return images * std + keras.ops.convert_to_tensor(mean, images.dtype)

    def check_range(self, images):
        """Warns of images that do not look as this normalization makes them.

        Args:
            images: Array or tensor of shape `(num_images, height, width,
                channels)`, with values, of which some images are looked at.

        Raises:
            ValueError: If they are neither floats nor bytes.
        """
        self._check_channels("images", images)
        is_bytes = _checked_dtype(images) == "uint8"
        if is_bytes or len(images.shape) != 4 or 0 in images.shape:
            return
        some = keras.ops.cast(images[:: -(-len(images) // 32)], "float32")
        # As scalars, which every process of a distributed run has.
        low, high = float(keras.ops.min(some)), float(keras.ops.max(some))
        lowest = min(-m / s for m, s in zip(self.mean, self.std))
        highest = max((1 - m) / s for m, s in zip(self.mean, self.std))
        looks = None
        if low >= 0 and high > 8 * max(highest, 1):
            looks = "[0, 255]"
        elif 0 <= low < high <= 1 and lowest < -0.5:
            looks = "[0, 1]"
        if looks is not None:
            warnings.warn(
                f"Images look like pixels in {looks}; floats are taken as "
                f"normalized, from {lowest:.1f} to {highest:.1f}. Give bytes "
                "(uint8), or `encoder.normalization.normalize(pixels)` of "
                "pixels in [0, 1]",
                stacklevel=5,
            )

    def _check_channels(self, name, images):
        """Raises a `ValueError` unless an array has as many channels."""
        check_rank(name, images, "(..., channels)")
        # Other arrays than TensorFlow's know theirs.
        shape = images.shape
        if getattr(shape, "rank", 1) is None or not len(shape):
            return
        if shape[-1] not in (None, self.channels):
            raise ValueError(
                f"`{name}` must have {self.channels} channels, as this "
                f"normalization has. Received: {name} of shape {tuple(shape)}"
            )

    def get_config(self):
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _checked_dtype(images):
    """Returns the dtype of images, or raises if no model takes it."""
    dtype = keras.backend.standardize_dtype(images.dtype)
    if dtype != "uint8" and "float" not in dtype:
        raise ValueError(
            "Images must be floats, normalized as `normalization` says, or "
            "bytes (uint8) in [0, 255]: `images.astype('uint8')`, if that is "
            f"their range. Received: images of dtype {dtype}"
        )
    return dtype


def _float_pixels(pixels):
    """Casts what is not a tensor of Keras's backend, where that is needed.

    NumPy promotes bytes and half precision by itself, as Keras does for its
    symbolic tensors. TensorFlow, whose tensors `tf.data` gives under every
    backend, would turn the statistics into bytes instead.
    """
    if isinstance(pixels, np.ndarray) or keras.utils.is_keras_tensor(pixels):
        return pixels
    import tensorflow as tf

    return pixels if pixels.dtype == "float64" else tf.cast(pixels, "float32")
