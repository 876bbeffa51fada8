import keras

from keras_mim import ops
from keras_mim._checks import check_kind
from keras_mim.normalization import Normalization
from keras_mim.targets._teachers import freeze
from keras_mim.targets.class_target import ClassTarget

# Side, in pixels, of the images that show the stride of a tokenizer. Most
# strides divide it.
PROBE = 960


@keras.saving.register_keras_serializable(package="keras_mim")
class TokenTarget(ClassTarget):
    """The visual token that a frozen tokenizer gives each patch.

    The target of BEiT, and of MAE's ablation "dVAE token" (its table 1d). The
    images are resized so that the tokenizer makes one token per patch: those of
    224 pixels in patches of 16, for DALL-E's tokens of 8 pixels, to 112.

    Reference: [Bao et al., 2021](https://arxiv.org/abs/2106.08254). BEiT
    resizes the crop of the file by Lanczos's kernel, here the images that the
    model gets are resized so.

    Args:
        tokenizer: Functional or sequential `keras.Model` from pixels in [0, 1],
            `(batch_size, height, width, channels)`, to logits, `(batch_size,
            token_rows, token_columns, num_tokens)`; for instance a
            `DalleEncoder`. An input of any height and width, `None`, gets what
            the patches ask for. It is frozen: its `trainable` becomes `False`.
        normalization: `keras_mim.Normalization` or `None`. How the images were
            normalized; `None` takes the encoder's, or outside of a model
            `Normalization.for_channels`. Defaults to `None`.
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the target becomes part of a `MaskedImageModel`.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Int32 `(batch_size, num_patches, 1)`: ids of tokens.

    Example:

    >>> tokenizer = keras_mim.targets.DalleEncoder()
    >>> keras_mim.converters.load_dalle(tokenizer, "encoder.pth")
    >>> beit = keras_mim.SimMIM(
    ...     encoder,
    ...     masking=keras_mim.masking.BlockMasking(75 / 196),
    ...     target=keras_mim.targets.TokenTarget(tokenizer),
    ... )
    """

    def __init__(
        self, tokenizer, normalization=None, patch_size=None, **kwargs
    ):
        num_tokens = check_shapes(tokenizer)
        check_kind(Normalization, or_none=True, normalization=normalization)
        super().__init__(num_tokens, patch_size=patch_size, **kwargs)
        freeze(tokenizer)
        self.tokenizer = tokenizer
        self.normalization = normalization

    def values_per_patch(self, channels):
        expected = self.tokenizer.input_shape[-1]
        if channels != expected:
            raise ValueError(
                "`tokenizer` must take as many channels as the images have, "
                f"{channels}. Received: one that takes {expected}"
            )
        return 1

    def build(self, images_shape):
        super().build(images_shape)
        self.values_per_patch(images_shape[-1])
        self.input_spec = keras.layers.InputSpec(
            shape=(None, *images_shape[1:])
        )
        grid = ops.patch_grid(tuple(images_shape[1:]), self.patch_size)
        fixed = self.tokenizer.input_shape[1:3]
        counts = self._token_grid([side or PROBE for side in fixed])
        self.tokenizer_size = tuple(
            side or patches * round(PROBE / count)
            for side, patches, count in zip(fixed, grid, counts, strict=True)
        )
        found = self._token_grid(self.tokenizer_size)
        if found != grid:
            raise ValueError(
                "`tokenizer` must make one token per patch, a grid of "
                f"{grid}. Received: one that makes {found} of images of "
                f"{self.tokenizer_size} pixels"
            )

    def _token_grid(self, size):
        channels = self.tokenizer.input_shape[-1]
        shape = self.tokenizer.compute_output_shape((1, *size, channels))
        return tuple(shape[1:3])

    def call(self, images):
        images = keras.ops.cast(images, self.compute_dtype)
        pixels = ops.resize_lanczos(self.to_pixels(images), self.tokenizer_size)
        # The kernel overshoots at edges.
        pixels = keras.ops.clip(pixels, 0, 1)
        ids = keras.ops.argmax(self.tokenizer(pixels, training=False), axis=-1)
        num_patches = ids.shape[1] * ids.shape[2]
        return keras.ops.cast(
            keras.ops.reshape(ids, (-1, num_patches, 1)), "int32"
        )

    def get_config(self):
        return {
            **super().get_config(),
            "tokenizer": keras.saving.serialize_keras_object(self.tokenizer),
            "normalization": keras.saving.serialize_keras_object(
                self.normalization
            ),
        }


def check_shapes(tokenizer):
    """Returns the number of tokens, from the shape of a tokenizer's output."""
    try:
        shapes = tokenizer.input_shape, tokenizer.output_shape
    except AttributeError:  # Subclassed models have none, or no model at all.
        shapes = None, None
    for shape in shapes:
        if not isinstance(shape, tuple) or len(shape) != 4:
            raise ValueError(
                "`tokenizer` must be a functional model from (batch_size, "
                "height, width, channels) to (batch_size, token_rows, "
                f"token_columns, num_tokens). Received: {tokenizer} with "
                f"input and output of shapes {shapes}"
            )
    return shapes[1][-1]
