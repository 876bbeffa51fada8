import keras
from keras import ops

from keras_mim.layers.drop_path import DropPath
from keras_mim.layers.rematerialised import rematerialised
from keras_mim.ops import gelu


class BlockInWindows(keras.layers.Layer):
    """What the blocks of both Swins share: two branches beside the tokens.

        tokens += drop_path(attention_branch(tokens))
        tokens += drop_path(mlp_branch(tokens))

    Each branch is normalised; a subclass says where, in `_attention_branch` and
    `_mlp_branch`. It makes the attention in `_make_attention`.

    Args: those of `SwinBlock`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, grid_height * grid_width,
            hidden_dim)`, row by row.

    Output shape: Same as `tokens`.
    """

    # How the factors of the norms start.
    norm_initializer = "ones"

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
        super().__init__(**kwargs)
        self.grid = tuple(grid)
        self.num_heads = num_heads
        self.window_size = window_size
        self.mlp_dim = mlp_dim
        self.shift_size = shift_size
        self.drop_path_rate = drop_path_rate
        self.remat = remat

    def build(self, tokens_shape):
        height, width = self.grid
        if tokens_shape[1] != height * width:
            raise ValueError(
                "The number of tokens must be that of the grid. Received: "
                f"tokens of shape {tuple(tokens_shape)}, grid={self.grid}"
            )
        hidden_dim = tokens_shape[-1]
        policy = self.dtype_policy
        self.attention = self._make_attention()
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

    def _make_attention(self):
        """Returns the block's `AttentionInWindows`, named `"attention"`."""
        raise NotImplementedError

    def _attention_branch(self, tokens):
        raise NotImplementedError

    def _mlp_branch(self, tokens):
        raise NotImplementedError

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
            epsilon=1e-5,
            gamma_initializer=self.norm_initializer,
            dtype=self.dtype_policy,
            name=name,
        )

    def call(self, tokens, training=None):
        active = self.remat and training
        x = rematerialised(self._attention_branch, active)(tokens)
        tokens = tokens + self.attention_drop_path(x, training=training)
        x = rematerialised(self._mlp_branch, active)(tokens)
        return tokens + self.mlp_drop_path(x, training=training)

    def _attend(self, tokens):
        _, num_tokens, hidden_dim = tokens.shape
        x = ops.reshape(tokens, (-1, *self.grid, hidden_dim))
        return ops.reshape(self.attention(x), (-1, num_tokens, hidden_dim))

    def _mlp(self, tokens):
        _, num_tokens, hidden_dim = tokens.shape
        # As a matrix, for the reason given in `Attention`.
        x = self.mlp_in(ops.reshape(tokens, (-1, hidden_dim)))
        x = self.mlp_out(gelu(x))
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
            "remat": self.remat,
        }
