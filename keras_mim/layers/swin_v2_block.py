import keras

from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim.layers._token_norm import TokenNorm
from keras_mim.layers._window_block import WindowBlock
from keras_mim.layers.window_cosine_attention import WindowCosineAttention


@keras.saving.register_keras_serializable(package="keras_mim")
class SwinV2Block(WindowBlock):
    """Transformer block with cosine attention and norms after its branches.

        tokens += drop_path(norm(window_cosine_attention(tokens)))
        tokens += drop_path(norm(mlp(tokens)))

    Reference: [Liu et al., 2021](https://arxiv.org/abs/2111.09883), Swin v2's
    `SwinTransformerBlock`; perceptron, epsilon and kernels as `SwinBlock`. The
    norms of the branches start at zero, and so the block as the identity.

    Args:
        grid, num_heads, window_size, mlp_dim, shift_size, drop_path_rate,
            remat: As those of `SwinBlock`.
        pretrained_window_size: int or `None`. See `WindowCosineAttention`.
            Defaults to `None`.
        use_extra_norm: bool. Whether a layer norm of all tokens follows, on
            the main branch, as in the largest models' every sixth block. It
            starts at one. Defaults to `False`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, grid_height * grid_width,
            hidden_dim)`, row by row.

    Output shape: Same as `tokens`.
    """

    attention_class = WindowCosineAttention
    norm_last = True
    norm_initializer = "zeros"

    def __init__(
        self,
        grid,
        num_heads,
        window_size,
        mlp_dim,
        shift_size=0,
        drop_path_rate=0.0,
        remat=False,
        pretrained_window_size=None,
        use_extra_norm=False,
        **kwargs,
    ):
        super().__init__(
            grid,
            num_heads,
            window_size,
            mlp_dim,
            shift_size,
            drop_path_rate,
            remat,
            **kwargs,
        )
        check_counts(
            or_none=True, pretrained_window_size=pretrained_window_size
        )
        check_flags(use_extra_norm=use_extra_norm)
        self.pretrained_window_size = pretrained_window_size
        self.use_extra_norm = use_extra_norm

    def build(self, tokens_shape):
        super().build(tokens_shape)
        if self.use_extra_norm:
            self.extra_norm = TokenNorm(
                epsilon=1e-5, dtype=self.dtype_policy, name="extra_norm"
            )
            self.extra_norm.build(tokens_shape)

    def attention_arguments(self):
        return {"pretrained_window_size": self.pretrained_window_size}

    def call(self, tokens, training=None):
        tokens = super().call(tokens, training=training)
        return self.extra_norm(tokens) if self.use_extra_norm else tokens

    def get_config(self):
        return {
            **super().get_config(),
            "pretrained_window_size": self.pretrained_window_size,
            "use_extra_norm": self.use_extra_norm,
        }
