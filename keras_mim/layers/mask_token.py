import keras
from keras import ops

from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_masked
from keras_mim._array_checks import check_rank
from keras_mim._checks import get_initializer


@keras.saving.register_keras_serializable(package="keras_mim")
class MaskToken(keras.layers.Layer):
    """Replaces masked tokens with one learned token.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), as in
    SimMIM's `VisionTransformerForSimMIM`. Apply it before positions are added.

    Args:
        initializer: Keras initializer of the token, or `None` for a normal
            distribution of deviation 0.02. Defaults to `None`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_patches, hidden_dim)`.
        masked: Boolean tensor of shape `(batch_size, num_patches)`, `True` =
            hidden.

    Output shape: Same as `tokens`.
    """

    def __init__(self, initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.initializer = get_initializer(
            "initializer", initializer, or_none=True
        )

    def build(self, tokens_shape, masked_shape):
        check_rank("tokens", tokens_shape, TOKENS)
        self.token = self.add_weight(
            name="token",
            shape=(1, 1, tokens_shape[-1]),
            initializer=self.initializer
            or keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, tokens, masked):
        check_masked(masked)
        token = ops.cast(self.token, tokens.dtype)
        return ops.where(masked[:, :, None], token, tokens)

    def compute_output_shape(self, tokens_shape, masked_shape):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "initializer": keras.initializers.serialize(self.initializer),
        }
