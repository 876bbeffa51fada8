import keras
from keras import ops

from keras_mim.layers.drop_path import DropPath
from keras_mim.layers.window_attention import WindowAttention


@keras.saving.register_keras_serializable(package="keras_mim")
class SwinBlock(keras.layers.Layer):
    """Pre-norm transformer block with attention inside windows.

        tokens += drop_path(window_attention(norm(tokens)))
        tokens += drop_path(mlp(norm(tokens)))

    Reference: [Liu et al., 2021](https://arxiv.org/abs/2103.14030), Swin's
    `SwinTransformerBlock`: GELU in its exact form, layer norm with epsilon
    1e-5, kernels normal with standard deviation 0.02, zero biases.

    Args:
        grid: tuple of int. `(height, width)` in tokens.
        num_heads: int. Number of attention heads.
        window_size: int. Side of a window in tokens; see `WindowAttention`
            for windows that do not fit the grid.
        mlp_dim: int. Width of the perceptron's hidden layer.
        shift_size: int. Tokens that the windows are shifted by. Swin takes
            `window_size // 2` in every second block. Defaults to `0`.
        drop_path_rate: float. Probability of dropping each branch, per image.
            Defaults to `0.0`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, grid_height * grid_width,
            hidden_dim)`, row by row.

    Output shape: Same as `tokens`.
    """

    def __init__(
        self,
        grid,
        num_heads,
        window_size,
        mlp_dim,
        shift_size=0,
        drop_path_rate=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.grid = tuple(grid)
        self.num_heads = num_heads
        self.window_size = window_size
        self.mlp_dim = mlp_dim
        self.shift_size = shift_size
        self.drop_path_rate = drop_path_rate

    def build(self, tokens_shape):
        height, width = self.grid
        if tokens_shape[1] != height * width:
            raise ValueError(
                "The number of tokens must be that of the grid. Received: "
                f"tokens of shape {tuple(tokens_shape)}, grid={self.grid}"
            )
        hidden_dim = tokens_shape[-1]
        policy = self.dtype_policy
        self.attention = WindowAttention(
            self.num_heads,
            self.window_size,
            self.shift_size,
            dtype=policy,
            name="attention",
        )
        self.attention.build((None, height, width, hidden_dim))
        self.mlp_in = self._dense(hidden_dim, self.mlp_dim, "mlp_in")
        self.mlp_out = self._dense(self.mlp_dim, hidden_dim, "mlp_out")
        self.attention_norm = self._layer_norm("attention_norm")
        self.mlp_norm = self._layer_norm("mlp_norm")
        self.attention_drop_path = DropPath(
            self.drop_path_rate, dtype=policy, name="attention_drop_path"
        )
        self.mlp_drop_path = DropPath(
            self.drop_path_rate, dtype=policy, name="mlp_drop_path"
        )
        for layer in (
            self.attention_norm,
            self.mlp_norm,
            self.attention_drop_path,
            self.mlp_drop_path,
        ):
            layer.build(tokens_shape)

    def _dense(self, input_dim, units, name):
        layer = keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, input_dim))
        return layer

    def _layer_norm(self, name):
        return keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=self.dtype_policy, name=name
        )

    def call(self, tokens, training=None):
        _, num_tokens, hidden_dim = tokens.shape
        x = self.attention_norm(tokens)
        x = self.attention(ops.reshape(x, (-1, *self.grid, hidden_dim)))
        x = ops.reshape(x, (-1, num_tokens, hidden_dim))
        tokens = tokens + self.attention_drop_path(x, training=training)
        x = self._mlp(self.mlp_norm(tokens))
        return tokens + self.mlp_drop_path(x, training=training)

    def _mlp(self, tokens):
        _, num_tokens, hidden_dim = tokens.shape
        # As a matrix, for the reason given in `Attention`.
        x = self.mlp_in(ops.reshape(tokens, (-1, hidden_dim)))
        x = self.mlp_out(ops.gelu(x, approximate=False))
        return ops.reshape(x, (-1, num_tokens, hidden_dim))

    def compute_output_shape(self, tokens_shape):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "grid": self.grid,
            "num_heads": self.num_heads,
            "window_size": self.window_size,
            "mlp_dim": self.mlp_dim,
            "shift_size": self.shift_size,
            "drop_path_rate": self.drop_path_rate,
        }
