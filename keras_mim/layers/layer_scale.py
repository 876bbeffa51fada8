import keras
from keras import ops

from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_numbers


@keras.saving.register_keras_serializable(package="keras_mim")
class LayerScale(keras.layers.Layer):
    """Multiplies each feature by a learned factor that starts small.

    Reference: [Touvron et al., 2021](https://arxiv.org/abs/2103.17239). BEiT
    and SimMIM start at 0.1 for the base size.

    Args:
        initial_value: float. Value every factor starts with.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_tokens, hidden_dim)`.

    Output shape: Same as `tokens`.
    """

    def __init__(self, initial_value, **kwargs):
        super().__init__(**kwargs)
        check_numbers("(-inf, inf)", initial_value=initial_value)
        self.initial_value = initial_value

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, TOKENS)
        self.gamma = self.add_weight(
            name="gamma",
            shape=(tokens_shape[-1],),
            initializer=keras.initializers.Constant(self.initial_value),
        )

    def call(self, tokens):
        return tokens * ops.cast(self.gamma, tokens.dtype)

    def compute_output_shape(self, tokens_shape):
        return tokens_shape

    def get_config(self):
        return {**super().get_config(), "initial_value": self.initial_value}
