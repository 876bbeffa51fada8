import keras

from keras_mim import ops
from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim._checks import check_numbers


@keras.saving.register_keras_serializable(package="keras_mim")
class RestoreTokens(keras.layers.Layer):
    """Puts visible tokens back in place and a learned token everywhere else.

    The inverse of `GatherVisible`: every patch has a token again, in image
    order.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), the
    beginning of MAE's `forward_decoder`; the mask token is normal with
    standard deviation 0.02, as there.

    Args:
        num_prefix_tokens: int. Number of tokens in front of the patches, all
            of which stay there. Defaults to `1`.
        stddev: float. Standard deviation of the initial mask token.
            Defaults to `0.02`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_prefix_tokens + num_visible,
            hidden_dim)`, visible tokens in image order.
        masked: Boolean tensor of shape `(batch_size, num_patches)`, `True` =
            hidden.

    Output shape: `(batch_size, num_prefix_tokens + num_patches, hidden_dim)`.
    """

    def __init__(self, num_prefix_tokens=1, stddev=0.02, **kwargs):
        super().__init__(**kwargs)
        check_counts(least=0, num_prefix_tokens=num_prefix_tokens)
        check_numbers("[0, inf)", stddev=stddev)
        self.num_prefix_tokens = num_prefix_tokens
        self.stddev = stddev

    def build(self, tokens_shape, masked_shape):
        check_rank("tokens", tokens_shape, TOKENS)
        check_rank("masked", masked_shape, "(batch_size, num_patches)")
        self.token = self.add_weight(
            name="token",
            shape=(1, 1, tokens_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=self.stddev),
        )

    def call(self, tokens, masked):
        prefix, visible = ops.split_tokens(tokens, self.num_prefix_tokens)
        # Hidden patches look up some visible token, and `where` discards it:
        # cheaper than to gather copies of the mask token, whose gradient
        # would be added up row by row.
        last = visible.shape[1] - 1
        indices = keras.ops.minimum(ops.restore_indices(masked), last)
        patches = keras.ops.where(
            masked[:, :, None],
            keras.ops.cast(self.token, tokens.dtype),
            ops.gather_tokens(visible, indices),
        )
        return keras.ops.concatenate([prefix, patches], axis=1)

    def compute_output_shape(self, tokens_shape, masked_shape):
        batch_size, _, hidden_dim = tokens_shape
        return batch_size, self.num_prefix_tokens + masked_shape[1], hidden_dim

    def get_config(self):
        return {
            **super().get_config(),
            "num_prefix_tokens": self.num_prefix_tokens,
            "stddev": self.stddev,
        }
