import keras
from keras import ops

from keras_mim._checks import check
from keras_mim._checks import check_flags
from keras_mim.ops import resize_lanczos
from keras_mim.targets._teachers import freeze
from keras_mim.targets._teachers import standardize
from keras_mim.targets.target import Target


@keras.saving.register_keras_serializable(package="keras_mim")
class FeatureTarget(Target):
    """What a frozen teacher says about each patch.

    The teacher sees the whole image; its token of each patch is the target.

    Reference: [Wei et al., 2021](https://arxiv.org/abs/2112.09133) (MaskFeat),
    section 3.2, where features of DINO or of a supervised ViT are predicted.

    Args:
        teacher: `keras_mim.encoders.Encoder` with as many patches an image as
            the student. It is frozen. If it wants images of another
            size, they are resized by Lanczos's kernel.
        normalize: bool. Whether each token becomes one of mean 0 and variance
            1 (a layer norm without weights). Defaults to `True`.
        patch_size: int or `None`. Side of a patch of the student in pixels.
            `None` takes the encoder's when the target becomes part of a
            `MaskedImageModel`.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Float32 `(batch_size, num_patches, teacher_dim)`.

    Example:

    >>> teacher = keras.saving.load_model("encoder.keras")
    >>> target = keras_mim.targets.FeatureTarget(teacher)
    >>> model = keras_mim.SimMIM(encoder, target=target)
    """

    # MaskFeat's distance of features, whatever the method.
    default_loss = keras.losses.MeanSquaredError()

    def __init__(self, teacher, normalize=True, patch_size=None, **kwargs):
        super().__init__(patch_size=patch_size, **kwargs)
        right = isinstance(teacher, keras.Model)
        right = right and hasattr(teacher, "num_prefix_tokens")
        check(right, "teacher", teacher, "a `keras_mim.encoders.Encoder`")
        check_flags(normalize=normalize)
        freeze(teacher)
        self.teacher = teacher
        self.normalize = normalize

    def own_normalization(self, channels):
        if self.normalization is None:
            return self.teacher.normalization
        return super().own_normalization(channels)

    def target_dim(self, channels):
        return self.teacher.output_shape[-1]

    def build(self, images_shape):
        super().build(images_shape)
        num_patches = self.compute_output_shape(images_shape)[1]
        teacher = self.teacher
        own = teacher.output_shape[1] - teacher.num_prefix_tokens
        if own != num_patches or teacher.image_shape[-1] != images_shape[-1]:
            raise ValueError(
                "`teacher` must see as many patches and channels as the "
                f"student, {num_patches} and {images_shape[-1]}. Received: a "
                f"teacher of {own} patches and image_shape="
                f"{teacher.image_shape}"
            )

    def call(self, images):
        theirs = self.teacher.normalization
        if self.normalization not in (None, theirs):
            images = theirs.normalize(self.to_pixels(images))
        images = resize_lanczos(images, self.teacher.image_shape[:2])
        tokens = self.teacher(images, training=False)
        tokens = tokens[:, self.teacher.num_prefix_tokens :]
        tokens = ops.cast(tokens, self.compute_dtype)
        return standardize(tokens) if self.normalize else tokens

    def get_config(self):
        return {
            **super().get_config(),
            "teacher": keras.saving.serialize_keras_object(self.teacher),
            "normalize": self.normalize,
        }
