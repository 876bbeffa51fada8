import keras

from keras_mim import ops
from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim.targets._squares import pooled_patches
from keras_mim.targets._squares import pooled_to_images
from keras_mim.targets._squares import values_per_side
from keras_mim.targets.target import Target

# Inside the square root, as in MAE's `forward_loss`.
EPSILON = 1e-6


@keras.saving.register_keras_serializable(package="keras_mim")
class PixelTarget(Target):
    """The pixels of each patch, raw or normalised patch by patch.

    Normalised, a patch becomes `(pixels - mean) / sqrt(variance + 1e-6)` with
    the unbiased variance (n - 1) over all its pixels and channels.

    References: [He et al., 2021](https://arxiv.org/abs/2111.06377), MAE's
    `forward_loss` and its `norm_pix_loss`.
    [Xie et al., 2021](https://arxiv.org/abs/2111.09886) for other resolutions:
    images of 192 pixels are predicted with 6 to 192 pixels a side, which is
    `pool_size` 32 to 1.

    Args:
        normalize: bool. Whether to normalise each patch.
            Defaults to `False`.
        pool_size: int. Side, in pixels, of the squares whose mean is
            predicted. It must divide the patch size, or be a multiple of it:
            then all patches in a square have its mean as their target, and
            `SimMIMHead(prediction_side=...)` predicts it once. Defaults to `1`.
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the target becomes part of a `MaskedImageModel`.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Float32 `(batch_size, num_patches, (patch_size // pool_size)
    ** 2 * channels)`, or `(batch_size, num_patches, channels)` for squares
    larger than a patch.

    Example:

    >>> target = keras_mim.targets.PixelTarget(normalize=True, patch_size=16)
    >>> target(np.random.rand(2, 224, 224, 3)).shape
    (2, 196, 768)
    """

    def __init__(self, normalize=False, pool_size=1, patch_size=None, **kwargs):
        super().__init__(patch_size=patch_size, **kwargs)
        check_flags(normalize=normalize)
        check_counts(pool_size=pool_size)
        self.normalize = normalize
        self.pool_size = pool_size
        if patch_size is not None:
            self._values_per_side()

    def _values_per_side(self):
        side = values_per_side(self.pool_size, self.patch_size)
        if self.normalize and self.pool_size >= self.patch_size:
            raise ValueError(
                "Normalised patches have the mean 0: `pool_size` must be less "
                "than `patch_size` to leave something to predict. Received: "
                f"pool_size={self.pool_size}, patch_size={self.patch_size}"
            )
        return side

    def target_dim(self, channels):
        return self._values_per_side() ** 2 * channels

    def call(self, images):
        images = keras.ops.cast(images, self.compute_dtype)
        means = pooled_patches(images, self.pool_size, self.patch_size)
        if self.normalize:
            # At full resolution, these are the patches already.
            patches = means
            if self.pool_size > 1:
                patches = ops.patchify(images, self.patch_size)
            mean, scale = self._statistics(patches)
            means = (means - mean) / scale
        return means

    def to_images(self, prediction, images):
        """Turns predictions into pixels in the value range of `images`.

        A normalised prediction gets back the mean and the deviation of the
        patch of `images` it stands for.

        Args:
            prediction: Tensor of shape `(batch_size, num_patches,
                target_dim)`.
            images: Tensor of shape `(batch_size, height, width, channels)`
                that the predictions were made for.

        Returns:
            Float32 tensor of the shape of `images`.
        """
        axes = "(batch_size, num_patches, target_dim)"
        check_rank("prediction", prediction, axes)
        check_rank("images", images, IMAGES)
        prediction = keras.ops.cast(prediction, self.compute_dtype)
        images = keras.ops.cast(images, self.compute_dtype)
        if self.normalize:
            patches = ops.patchify(images, self.patch_size)
            mean, scale = self._statistics(patches)
            prediction = prediction * scale + mean
        return pooled_to_images(
            prediction, images, self.pool_size, self.patch_size
        )

    def _statistics(self, patches):
        mean = keras.ops.mean(patches, axis=-1, keepdims=True)
        square = keras.ops.square(patches - mean)
        # `keras.ops.var` divides by n.
        variance = keras.ops.sum(square, axis=-1, keepdims=True) / (
            patches.shape[-1] - 1
        )
        return mean, keras.ops.sqrt(variance + EPSILON)

    def get_config(self):
        return {
            **super().get_config(),
            "normalize": self.normalize,
            "pool_size": self.pool_size,
        }
