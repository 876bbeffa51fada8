import keras
from keras import ops

from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_grid
from keras_mim.layers._block import Block
from keras_mim.layers._windowed_attention import check_shift


class WindowBlock(Block):
    """What the blocks of both Swins share: tokens of a grid, cut into windows.

    A subclass names its attention in `attention_class`, which gets the
    arguments of `attention_arguments` too.

    Args: those of `SwinBlock`.
    """

    norm_epsilon = 1e-5
    attention_class = None

    def __init__(
        self,
        grid,
        num_heads,
        window_size,
        mlp_dim,
        shift_size=0,
        drop_path_rate=0.0,
        remat=False,
        **kwargs,
    ):
        super().__init__(
            num_heads,
            mlp_dim,
            drop_path_rate,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
            remat=remat,
            **kwargs,
        )
        check_shift(window_size, shift_size)
        self.grid = check_grid(grid)
        self.window_size = window_size
        self.shift_size = shift_size

    def build(self, tokens_shape):
        height, width = self.grid
        check_rank("tokens", tokens_shape, TOKENS)
        if tokens_shape[1] != height * width:
            raise ValueError(
                "The number of tokens must be that of the grid. Received: "
                f"tokens of shape {tuple(tokens_shape)}, grid={self.grid}"
            )
        super().build(tokens_shape)

    def attention_arguments(self):
        """Returns what a subclass's attention gets beside the common."""
        return {}

    def make_attention(self, tokens_shape, output_initializer):
        attention = self.attention_class(
            self.num_heads,
            self.window_size,
            self.shift_size,
            **self.attention_arguments(),
            dtype=self.dtype_policy,
            name="attention",
        )
        attention.build((None, *self.grid, tokens_shape[-1]))
        return attention

    def attend(self, tokens):
        _, num_tokens, hidden_dim = tokens.shape
        x = ops.reshape(tokens, (-1, *self.grid, hidden_dim))
        return ops.reshape(self.attention(x), (-1, num_tokens, hidden_dim))

    def get_config(self):
        return {
            **super().get_config(),
            "grid": self.grid,
            "window_size": self.window_size,
            "shift_size": self.shift_size,
        }
