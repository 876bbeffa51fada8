import keras

from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim._checks import check_kind
from keras_mim.normalization import Normalization
from keras_mim.targets._squares import pooled_patches
from keras_mim.targets._squares import pooled_to_images
from keras_mim.targets._squares import values_per_side
from keras_mim.targets.class_target import ClassTarget


@keras.saving.register_keras_serializable(package="keras_mim")
class ColorBinTarget(ClassTarget):
    """The bin that each channel of a pixel falls into, of bins equally wide.

    One of the targets that SimMIM compares with raw pixels: each channel is
    classified by itself, into 8 or 256 bins.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), section
    4.1, "channel-wise bin color discretization".

    Args:
        num_bins: int. Number of bins per channel, which divide pixels in
            [0, 1]; values beyond fall into the first or last.
            Defaults to `8`.
        normalization: `keras_mim.Normalization` or `None`. How the images were
            normalized; `None` takes the encoder's, or outside of a model
            `Normalization.for_channels`. Defaults to `None`.
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
        normalization=None,
        pool_size=1,
        patch_size=None,
        **kwargs,
    ):
        check_counts(least=2, num_bins=num_bins)
        check_counts(pool_size=pool_size)
        check_kind(Normalization, or_none=True, normalization=normalization)
        super().__init__(num_bins, patch_size=patch_size, **kwargs)
        self.num_bins = num_bins
        self.normalization = normalization
        self.pool_size = pool_size
        if patch_size is not None:
            values_per_side(pool_size, patch_size)

    def values_per_patch(self, channels):
        return values_per_side(self.pool_size, self.patch_size) ** 2 * channels

    def call(self, images):
        images = keras.ops.cast(images, self.compute_dtype)
        values = pooled_patches(
            self.to_pixels(images), self.pool_size, self.patch_size
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
        axes = "(batch_size, num_patches, target_dim)"
        check_rank("prediction", prediction, axes)
        check_rank("images", images, IMAGES)
        best = keras.ops.argmax(self.logits(prediction), axis=-1)
        values = (keras.ops.cast(best, "float32") + 0.5) / self.num_bins
        pixels = pooled_to_images(
            values, images, self.pool_size, self.patch_size
        )
        return self.own_normalization(images.shape[-1]).normalize(pixels)

    def get_config(self):
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "normalization": keras.saving.serialize_keras_object(
                self.normalization
            ),
            "pool_size": self.pool_size,
        }
