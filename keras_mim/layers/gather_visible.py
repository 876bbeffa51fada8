import keras

from keras_mim import ops
from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts


@keras.saving.register_keras_serializable(package="keras_mim")
class GatherVisible(keras.layers.Layer):
    """Keeps the visible tokens only: what makes MAE's encoder cheap.

    Visible tokens stay in image order. MAE leaves them shuffled, which a
    transformer without dropout cannot tell apart.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), MAE's
    `random_masking`.

    Args:
        num_prefix_tokens: int. Number of tokens in front of the patches, all
            of which are kept. Defaults to `1`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_prefix_tokens + num_patches,
            hidden_dim)`.
        masked: Boolean tensor of shape `(batch_size, num_patches)`, `True` =
            hidden.
        num_visible: int. Number of visible patches in every image: it fixes
            the output's shape, which the values of `masked` cannot.

    Output shape: `(batch_size, num_prefix_tokens + num_visible, hidden_dim)`.
    """

    def __init__(self, num_prefix_tokens=1, **kwargs):
        super().__init__(**kwargs)
        check_counts(least=0, num_prefix_tokens=num_prefix_tokens)
        self.num_prefix_tokens = num_prefix_tokens

    def build(self, tokens_shape, masked_shape):
        check_rank("tokens", tokens_shape, TOKENS)
        check_rank("masked", masked_shape, "(batch_size, num_patches)")
        num_tokens = self.num_prefix_tokens + masked_shape[1]
        if tokens_shape[1] != num_tokens:
            raise ValueError(
                "`tokens` must hold the prefix tokens and one token per patch "
                f"of `masked`, {num_tokens}. Received: tokens of shape "
                f"{tuple(tokens_shape)}, masked of shape "
                f"{tuple(masked_shape)}, "
                f"num_prefix_tokens={self.num_prefix_tokens}"
            )

    def call(self, tokens, masked, num_visible):
        prefix, patches = ops.split_tokens(tokens, self.num_prefix_tokens)
        indices = ops.visible_indices(masked, num_visible)
        visible = ops.gather_tokens(patches, indices)
        return keras.ops.concatenate([prefix, visible], axis=1)

    def compute_output_spec(self, tokens, masked, num_visible):
        check_counts(num_visible=num_visible)
        batch_size, _, hidden_dim = tokens.shape
        return keras.KerasTensor(
            (batch_size, self.num_prefix_tokens + num_visible, hidden_dim),
            dtype=self.compute_dtype,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_prefix_tokens": self.num_prefix_tokens,
        }
