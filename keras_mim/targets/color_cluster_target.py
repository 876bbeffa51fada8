import keras

from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._array_checks import float_array
from keras_mim._checks import check_counts
from keras_mim.targets._squares import pooled_patches
from keras_mim.targets._squares import pooled_to_images
from keras_mim.targets._squares import values_per_side
from keras_mim.targets.class_target import ClassTarget


@keras.saving.register_keras_serializable(package="keras_mim")
class ColorClusterTarget(ClassTarget):
    """The nearest of given colours, for every pixel or square of pixels.

    One of the targets that SimMIM compares with raw pixels, taken from iGPT,
    with 512 colours found by k-means.

    References: [Chen et al., 2020](https://proceedings.mlr.press/v119/chen20s)
    (iGPT); [Xie et al., 2021](https://arxiv.org/abs/2111.09886), section 4.1.

    Args:
        colors: Float array of shape `(num_colors, channels)`, of normalized
            pixels; for instance scikit-learn's `MiniBatchKMeans(512).fit(
            images.reshape(-1, 3)).cluster_centers_`, of images normalized by
            `encoder.normalization`.
        pool_size: int. Side, in pixels, of the squares whose mean colour is
            classified; it must divide the patch size, or be a multiple of it.
            Defaults to `1`: every pixel.
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the target becomes part of a `MaskedImageModel`.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Int32 `(batch_size, num_patches, values_per_patch)`: indices
    of colours.
    """

    def __init__(self, colors, pool_size=1, patch_size=None, **kwargs):
        if getattr(colors, "dtype", None) == "uint8":
            raise ValueError(
                "`colors` must be floats, normalized as the images are: "
                "`encoder.normalization.normalize(colors)`. "
                "Received: colors of dtype uint8"
            )
        colors = float_array("colors", colors, "(num_colors, channels)")
        if len(colors) < 2:
            raise ValueError(
                "`colors` must be two or more. "
                f"Received: colors of shape {colors.shape}"
            )
        check_counts(pool_size=pool_size)
        super().__init__(len(colors), patch_size=patch_size, **kwargs)
        self.colors = colors
        self.pool_size = pool_size
        if patch_size is not None:
            values_per_side(pool_size, patch_size)

    def values_per_patch(self, channels):
        if channels != self.colors.shape[1]:
            raise ValueError(
                "`colors` must have a value for each channel of the images, "
                f"{channels}. Received: colors of shape {self.colors.shape}"
            )
        return values_per_side(self.pool_size, self.patch_size) ** 2

    def call(self, images):
        images = keras.ops.cast(images, self.compute_dtype)
        channels = images.shape[-1]
        num_values = self.values_per_patch(channels)
        means = pooled_patches(images, self.pool_size, self.patch_size)
        means = keras.ops.reshape(
            means, (-1, means.shape[1], num_values, channels)
        )
        # |mean - color|^2 without its first term, the same for all colours:
        # the differences themselves would take num_colors images of memory.
        colors = keras.ops.convert_to_tensor(self.colors)
        distance = keras.ops.sum(keras.ops.square(colors), axis=1)
        distance = distance - 2 * keras.ops.matmul(
            means, keras.ops.transpose(colors)
        )
        return keras.ops.cast(keras.ops.argmin(distance, axis=-1), "int32")

    def to_images(self, prediction, images):
        """Turns predictions into pixels: the likeliest colours.

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
        colors = keras.ops.convert_to_tensor(self.colors)
        values = keras.ops.take(colors, best, axis=0)
        num_patches = prediction.shape[1]
        values = keras.ops.reshape(
            values, (-1, num_patches, best.shape[-1] * self.colors.shape[1])
        )
        return pooled_to_images(values, images, self.pool_size, self.patch_size)

    def get_config(self):
        return {
            **super().get_config(),
            "colors": self.colors.tolist(),
            "pool_size": self.pool_size,
        }
