import keras

from keras_mim import ops
from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim._checks import get_initializer
from keras_mim.layers._settings import Composite
from keras_mim.layers._token_dense import make_dense
from keras_mim.layers._token_dense import torch_default


@keras.saving.register_keras_serializable(package="keras_mim")
class PatchEmbedding(Composite):
    """Turns images into one token per patch.

    A linear map of the flat patch: the same as a convolution whose kernel and
    stride are the patch, without depending on each backend's convolution.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377). As in MAE
    the kernel is by default Xavier uniform over the flat patch, and the bias
    keeps PyTorch's convolution default, uniform within `1 / sqrt(fan_in)`.

    Args:
        patch_size: int. Side of a patch in pixels.
        hidden_dim: int. Width of a token (`embed_dim` elsewhere).
        kernel_initializer: Keras initializer of the kernel, whose shape is
            `(patch_size ** 2 * channels, hidden_dim)`.
            Defaults to `"glorot_uniform"`.
        bias_initializer: Keras initializer of the bias, or `None` for
            PyTorch's default. Defaults to `None`.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`; any
            dtype, pixels or normalised pixels.

    Output shape: `(batch_size, num_patches, hidden_dim)`, row-major order.

    Example:

    >>> layer = keras_mim.layers.PatchEmbedding(patch_size=16, hidden_dim=192)
    >>> layer(np.zeros((2, 224, 160, 3))).shape
    (2, 140, 192)
    """

    def __init__(
        self,
        patch_size,
        hidden_dim,
        kernel_initializer="glorot_uniform",
        bias_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_counts(patch_size=patch_size, hidden_dim=hidden_dim)
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.kernel_initializer = get_initializer(
            "kernel_initializer", kernel_initializer
        )
        self.bias_initializer = get_initializer(
            "bias_initializer", bias_initializer, or_none=True
        )

    def build(self, images_shape):
        check_rank("images", images_shape, IMAGES)
        ops.patch_grid(tuple(images_shape[1:]), self.patch_size)
        patch_dim = self.patch_size**2 * images_shape[-1]
        self.projection = make_dense(
            self,
            patch_dim,
            self.hidden_dim,
            "projection",
            self.kernel_initializer,
            bias_initializer=self.bias_initializer or torch_default(patch_dim),
        )

    def call(self, images):
        images = keras.ops.cast(images, self.compute_dtype)
        return self.projection(ops.patchify(images, self.patch_size))

    def compute_output_shape(self, images_shape):
        height, width = ops.patch_grid(tuple(images_shape[1:]), self.patch_size)
        return images_shape[0], height * width, self.hidden_dim

    def get_config(self):
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "hidden_dim": self.hidden_dim,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "bias_initializer": keras.initializers.serialize(
                self.bias_initializer
            ),
        }
