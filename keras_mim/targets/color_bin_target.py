import keras

from keras_mim import ops
from keras_mim.targets.class_target import ClassTarget
from keras_mim.targets.pooling import pooled_patches
from keras_mim.targets.pooling import pooled_to_images
from keras_mim.targets.pooling import values_per_side


@keras.saving.register_keras_serializable(package="keras_mim")
class ColorBinTarget(ClassTarget):
    """The bin that each channel of a pixel falls into, of bins equally wide.

    One of the targets that SimMIM compares with raw pixels: each channel is
    classified by itself, into 8 or 256 bins.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), section
    4.1, "channel-wise bin color discretization".

    Args:
        num_bins: int. Number of bins per channel. Defaults to `8`.
        mean: sequence of floats or `None`. What pixels in [0, 1] were
            normalised with; `None` takes `ops.channel_statistics`'. The bins
            divide [0, 1]; values beyond fall into the first or last.
        std: sequence of floats or `None`. Likewise.
        pool_size: int. Side, in pixels, of the squares whose mean is
            classified; it must divide the patch size, or be a multiple of it.
            Defaults to `1`: every pixel.
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the target becomes part of a `MaskedImageModel`.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Int32 `(batch_size, num_patches, values_per_patch)`: indices
    of bins, in the order (row, column, channel).
    """

    def __init__(
        self,
        num_bins=8,
        mean=None,
        std=None,
        pool_size=1,
        patch_size=None,
        **kwargs,
    ):
        super().__init__(num_bins, patch_size=patch_size, **kwargs)
        self.num_bins = num_bins
        self.mean = mean
        self.std = std
        self.pool_size = pool_size

    def values_per_patch(self, channels):
        ops.channel_statistics(channels, self.mean, self.std)
        return values_per_side(self.pool_size, self.patch_size) ** 2 * channels

    def call(self, images):
        images = keras.ops.cast(images, self.compute_dtype)
        mean, std = ops.channel_statistics(
            images.shape[-1], self.mean, self.std
        )
        values = pooled_patches(
            images * std + mean, self.pool_size, self.patch_size
        )
        bins = keras.ops.floor(values * self.num_bins)
        bins = keras.ops.clip(bins, 0, self.num_bins - 1)
        return keras.ops.cast(bins, "int32")

    def to_images(self, prediction, images):
        """Turns predictions into pixels: the middles of the likeliest bins.

        Args:
            prediction: Tensor of shape `(batch_size, num_patches,
                target_dim)`.
            images: Tensor of shape `(batch_size, height, width, channels)`.

        Returns:
            Float32 tensor of the shape of `images`.
        """
        best = keras.ops.argmax(self.logits(prediction), axis=-1)
        values = (keras.ops.cast(best, "float32") + 0.5) / self.num_bins
        mean, std = ops.channel_statistics(
            images.shape[-1], self.mean, self.std
        )
        pixels = pooled_to_images(
            values, images, self.pool_size, self.patch_size
        )
        return (pixels - mean) / std

    def get_config(self):
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "mean": self.mean,
            "std": self.std,
            "pool_size": self.pool_size,
        }
