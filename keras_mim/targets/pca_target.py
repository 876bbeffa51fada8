import keras

from keras_mim import ops
from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._array_checks import float_array
from keras_mim._checks import check_counts
from keras_mim._checks import check_kind
from keras_mim._requirements import require
from keras_mim.normalization import Normalization
from keras_mim.targets._patch_batches import large_patch_batches
from keras_mim.targets.target import Target


@keras.saving.register_keras_serializable(package="keras_mim")
class PCATarget(Target):
    """The coefficients of each patch on its principal components.

    The largest components keep the low frequencies of a patch and leave its
    details out: an ablation of MAE's, which found it worse than pixels.
    Coefficients are not whitened: in photos, the first are by far the largest.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), section
    4.1 and table 1d: 96 coefficients of patches of 16 pixels.

    Args:
        components: Array of shape `(num_components, patch_size ** 2 *
            channels)`. The directions, orthonormal rows in the order of
            `ops.patchify`: row, column, channel.
        mean: Array of shape `(patch_size ** 2 * channels,)`. The mean patch.
        normalization: `keras_mim.Normalization` or `None`. How the images were
            normalized; `None` takes the encoder's, or outside of a model
            `Normalization.for_channels`. Defaults to `None`.
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the target becomes part of a `MaskedImageModel`.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Float32 `(batch_size, num_patches, num_components)`.

    Example:

    >>> target = keras_mim.targets.PCATarget.fit(images, patch_size=16)
    >>> mae = keras_mim.MAE(encoder, target=target)
    """

    # MAE's loss, whatever the method.
    default_loss = keras.losses.MeanSquaredError()

    def __init__(
        self, components, mean, patch_size=None, normalization=None, **kwargs
    ):
        super().__init__(patch_size=patch_size, **kwargs)
        self.normalization = normalization
        check_kind(Normalization, or_none=True, normalization=normalization)
        axes = "(num_components, patch_size ** 2 * channels)"
        components = float_array("components", components, axes)
        mean = float_array("mean", mean, "(patch_size ** 2 * channels,)")
        if not components.size or mean.shape != components.shape[1:]:
            raise ValueError(
                "`components` must have shape (num_components, patch_size ** "
                "2 * channels), and `mean` that of one component. Received: "
                f"components of shape {components.shape}, mean of shape "
                f"{mean.shape}"
            )
        self.components = components
        self.mean = mean

    @classmethod
    def fit(
        cls,
        images,
        *,
        patch_size,
        num_components=96,
        normalization=None,
        **kwargs,
    ):
        """Finds the principal components of patches, in one pass over images.

        Needs scikit-learn. Its `IncrementalPCA` keeps the whole basis here,
        which is cut at the end: the result is that of all patches at once,
        whatever the batches. A thousand images of 224 pixels have patches
        enough, and take about a minute of one core.

        Args:
            images: Array of shape `(num_images, height, width, channels)`, as
                the model is trained on them (normalized, or bytes); or an
                iterable of such batches that ends, as a `tf.data.Dataset`. Of
                a batch that is a tuple or list, the first element counts.
            patch_size: int. Side of a patch in pixels.
            num_components: int. Number of coefficients of a patch.
                Defaults to `96`.
            normalization: `keras_mim.Normalization` or `None`. How bytes are
                normalized: as the encoder's `normalization` says, which must
                be the same. `None` is `Normalization.for_channels`.
                Defaults to `None`.
            **kwargs: Further arguments of the class.

        Returns:
            A target, the components ordered by the variance along them,
            largest first.
        """
        check_counts(patch_size=patch_size, num_components=num_components)
        check_kind(Normalization, or_none=True, normalization=normalization)
        decomposition = require("sklearn.decomposition", "data")
        used = normalization

        def as_normalized(batch):
            nonlocal used
            own = Normalization.resolve(normalization, batch.shape[-1])
            if batch.dtype == "uint8":
                used = own
            return own.as_normalized(batch)

        pca, num_patches = None, 0
        for patches in large_patch_batches(images, patch_size, as_normalized):
            if not 1 <= num_components <= patches.shape[1]:
                raise ValueError(
                    "`num_components` must be at least 1 and at most the "
                    f"number of values in a patch, {patches.shape[1]}. "
                    f"Received: num_components={num_components}"
                )
            if pca is None:
                # Cut between steps, a direction that shows late is lost.
                pca = decomposition.IncrementalPCA(
                    min(patches.shape), copy=False
                )
            # In float64: the singular values grow with every step.
            pca.partial_fit(patches.astype("float64"))
            num_patches += len(patches)
        # One more, as the mean takes one.
        if num_patches <= num_components:
            raise ValueError(
                f"`num_components={num_components}` needs at least "
                f"{num_components + 1} patches. "
                f"Received: images with {num_patches} patches"
            )
        return cls(
            pca.components_[:num_components],
            pca.mean_,
            patch_size=patch_size,
            normalization=used,
            **kwargs,
        )

    def target_dim(self, channels):
        patch_dim = self.patch_size**2 * channels
        if patch_dim != self.mean.shape[0]:
            raise ValueError(
                "`components` must have a value for each value of a patch, "
                f"{patch_dim} of patch_size={self.patch_size} and {channels} "
                "channels. Received: components of shape "
                f"{tuple(self.components.shape)}"
            )
        return self.components.shape[0]

    def build(self, images_shape):
        super().build(images_shape)
        self.target_dim(images_shape[-1])
        # Both in the weights and in the config: a run resumed from saved
        # weights goes on with the basis that it began with, even when its
        # script has fitted another; and a config alone is a target, not a
        # promise of one.
        self.components = self._kept("components", self.components)
        self.mean = self._kept("mean", self.mean)

    def _kept(self, name, value):
        return self.add_weight(
            name=name,
            shape=value.shape,
            initializer=lambda shape, dtype: keras.ops.convert_to_tensor(
                value, dtype
            ),
            dtype="float32",
            trainable=False,
            autocast=False,
        )

    def call(self, images):
        images = keras.ops.cast(images, self.compute_dtype)
        patches = ops.patchify(images, self.patch_size)
        components, mean = self._basis(patches.dtype)
        return keras.ops.matmul(patches - mean, keras.ops.transpose(components))

    def to_images(self, prediction, images):
        """Turns coefficients into pixels: the low-pass picture.

        Args:
            prediction: Tensor of shape `(batch_size, num_patches,
                num_components)`.
            images: Tensor of shape `(batch_size, height, width, channels)`:
                the shape to return.

        Returns:
            Float32 tensor of the shape of `images`.
        """
        axes = "(batch_size, num_patches, target_dim)"
        check_rank("prediction", prediction, axes)
        check_rank("images", images, IMAGES)
        prediction = keras.ops.cast(prediction, self.compute_dtype)
        components, mean = self._basis(prediction.dtype)
        patches = keras.ops.matmul(prediction, components) + mean
        grid = ops.patch_grid(tuple(images.shape[1:]), self.patch_size)
        return ops.unpatchify(patches, grid, self.patch_size)

    def _basis(self, dtype):
        return (
            keras.ops.cast(self.components, dtype),
            keras.ops.cast(self.mean, dtype),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "components": keras.ops.convert_to_numpy(self.components).tolist(),
            "mean": keras.ops.convert_to_numpy(self.mean).tolist(),
            "normalization": keras.saving.serialize_keras_object(
                self.normalization
            ),
        }
