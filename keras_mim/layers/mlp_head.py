import keras

from keras_mim._checks import check_counts
from keras_mim.layers.grid_head import GridHead
from keras_mim.ops import gelu


@keras.saving.register_keras_serializable(package="keras_mim")
class MLPHead(GridHead):
    """Two linear layers with a GELU between, from a token to its patches.

    The second-lightest of the heads that SimMIM compares: `SimMIMHead` with a
    hidden layer.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), section
    3.3, says "2-layer MLP" and no more; its code has linear heads only. Chosen
    here: a hidden layer as wide as the token, GELU in its exact form as in the
    encoders, no norm, and for both layers the initialisation of `SimMIMHead`.

    Args:
        hidden_dim: int or `None`. Width of the hidden layer; `None` is that of
            the encoder's tokens.
        target_dim: int or `None`. Width of the prediction per patch; `None`
            takes the model's target's, and so on for the next two.
        grid: tuple of int or `None`. `(height, width)` in patches.
        num_prefix_tokens: int or `None`. Number of tokens in front, which
            predict nothing.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_prefix_tokens + num_tokens,
            encoder_dim)`; `num_patches` must be a square multiple of
            `num_tokens`.
        masked: Boolean tensor of shape `(batch_size, num_patches)`.

    Output shape: `(batch_size, num_patches, target_dim)`.

    Example:

    >>> encoder = keras_mim.encoders.Swin.from_size("tiny", (192, 192, 3))
    >>> simmim = keras_mim.SimMIM(encoder, head=keras_mim.layers.MLPHead())
    """

    def __init__(
        self,
        hidden_dim=None,
        target_dim=None,
        grid=None,
        num_prefix_tokens=None,
        **kwargs,
    ):
        super().__init__(target_dim, grid, num_prefix_tokens, **kwargs)
        check_counts(or_none=True, hidden_dim=hidden_dim)
        self.hidden_dim = hidden_dim

    def build(self, tokens_shape, masked_shape):
        super().build(tokens_shape, masked_shape)
        encoder_dim = tokens_shape[-1]
        hidden_dim = self.hidden_dim or encoder_dim
        units = self.target_dim * self.patches_per_side**2
        self.hidden = self.linear(encoder_dim, hidden_dim, "hidden")
        self.prediction = self.linear(hidden_dim, units, "prediction")

    def call(self, tokens, masked):
        x = tokens[:, self.num_prefix_tokens :]
        return self.to_patches(self.prediction(gelu(self.hidden(x))))

    def get_config(self):
        return {**super().get_config(), "hidden_dim": self.hidden_dim}
