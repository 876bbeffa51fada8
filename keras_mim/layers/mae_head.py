import keras

from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim._checks import check_heads
from keras_mim.layers._token_dense import make_dense
from keras_mim.layers._token_norm import TokenNorm
from keras_mim.layers.head import Head
from keras_mim.layers.position_embedding import PositionEmbedding
from keras_mim.layers.restore_tokens import RestoreTokens
from keras_mim.layers.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable(package="keras_mim")
class MAEHead(Head):
    """MAE's decoder: a light transformer over visible and mask tokens.

    Projects the visible tokens, puts mask tokens where patches are hidden, adds
    positions to all, runs the blocks, and predicts every patch. An encoder that
    saw all patches, as SimMIM's does, leaves no token to be put in.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), MAE's
    `forward_decoder`. The paper's is 512 wide with 8 blocks of 16 heads for
    every encoder size; its perceptrons are 4 times as wide.

    Args:
        hidden_dim: int. Width of the decoder (`decoder_embed_dim` elsewhere).
            Defaults to `512`.
        num_layers: int. Number of blocks (`decoder_depth` elsewhere).
            Defaults to `8`.
        num_heads: int. Number of attention heads. Defaults to `16`.
        mlp_dim: int or `None`. Hidden width of the perceptrons; `None` is 4
            times `hidden_dim`.
        target_dim: int or `None`. Width of the prediction per patch; `None`
            takes the model's target's, and so on for the next two.
        grid: tuple of int or `None`. `(height, width)` in patches.
        num_prefix_tokens: int or `None`. Number of tokens in front.
        remat: bool. Gradient checkpointing, as in `ViT`: the decoder sees all
            tokens, and keeps more than an encoder that sees a quarter.
            Defaults to `False`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_prefix_tokens + num_visible,
            encoder_dim)`, visible tokens in image order; or those of all
            patches.
        masked: Boolean tensor of shape `(batch_size, num_patches)`, `True` =
            hidden.

    Output shape: `(batch_size, num_patches, target_dim)`.
    """

    def __init__(
        self,
        hidden_dim=512,
        num_layers=8,
        num_heads=16,
        mlp_dim=None,
        target_dim=None,
        grid=None,
        num_prefix_tokens=None,
        remat=False,
        **kwargs,
    ):
        super().__init__(target_dim, grid, num_prefix_tokens, **kwargs)
        check_heads(hidden_dim, num_heads)
        check_counts(least=0, num_layers=num_layers)
        check_counts(or_none=True, mlp_dim=mlp_dim)
        check_flags(remat=remat)
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.remat = remat

    def build(self, tokens_shape, masked_shape):
        super().build(tokens_shape, masked_shape)
        policy = self.dtype_policy
        batch_size, num_patches = masked_shape
        num_tokens = self.num_prefix_tokens + num_patches
        all_shape = (batch_size, num_tokens, self.hidden_dim)
        self.embedding = make_dense(
            self, tokens_shape[-1], self.hidden_dim, "embedding"
        )
        self.restore_tokens = None
        if tokens_shape[1] != num_tokens:
            self.restore_tokens = RestoreTokens(
                self.num_prefix_tokens, dtype=policy, name="restore_tokens"
            )
            self.restore_tokens.build(all_shape, masked_shape)
        self.position_embedding = PositionEmbedding(
            self.grid,
            num_prefix_tokens=self.num_prefix_tokens,
            dtype=policy,
            name="position_embedding",
        )
        self.blocks = [
            TransformerBlock(
                self.num_heads,
                self.mlp_dim or 4 * self.hidden_dim,
                remat=self.remat,
                dtype=policy,
                name=f"block_{i}",
            )
            for i in range(self.num_layers)
        ]
        self.norm = TokenNorm(epsilon=1e-6, dtype=policy, name="norm")
        self.prediction = make_dense(
            self, self.hidden_dim, self.target_dim, "prediction"
        )
        for layer in (self.position_embedding, *self.blocks, self.norm):
            layer.build(all_shape)

    def call(self, tokens, masked, training=None):
        x = self.embedding(tokens)
        if self.restore_tokens is not None:
            x = self.restore_tokens(x, masked)
        x = self.position_embedding(x)
        for block in self.blocks:
            x = block(x, training=training)
        return self.prediction(self.norm(x)[:, self.num_prefix_tokens :])

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "remat": self.remat,
        }
