import keras
import numpy as np

from keras_mim import ops
from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim._checks import check_grid
from keras_mim._checks import check_kind
from keras_mim._checks import check_prefix


@keras.saving.register_keras_serializable(package="keras_mim")
class RelativePositionBias(keras.layers.Layer):
    """A learned bias of attention for every offset between two tokens.

    One layer may serve all blocks, as in SimMIM's and BEiT's pre-training, or
    each block has its own, as in their fine-tuning.

    Reference: BEiT's `RelativePositionBias`
    ([Bao et al., 2021](https://arxiv.org/abs/2106.08254)); zeros at the start.
    See `keras_mim.ops.relative_position_index`.

    Args:
        grid: tuple of int. `(height, width)` in patches.
        num_heads: int. Number of attention heads.
        num_prefix_tokens: int. 0 or 1. Defaults to `1`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_prefix_tokens + num_patches,
            hidden_dim)`: all patches of an image, in order. Its values do not
            matter.

    Output shape: `(1, num_heads, num_tokens, num_tokens)`, for the query and
    the key on the last two axes.
    """

    def __init__(self, grid, num_heads, num_prefix_tokens=1, **kwargs):
        super().__init__(**kwargs)
        check_prefix(num_prefix_tokens)
        check_counts(num_heads=num_heads)
        self.grid = check_grid(grid)
        self.num_heads = num_heads
        self.num_prefix_tokens = num_prefix_tokens

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, TOKENS)
        height, width = self.grid
        self.num_tokens = self.num_prefix_tokens + height * width
        num_rows = (2 * height - 1) * (2 * width - 1)
        self.table = self.add_weight(
            name="table",
            shape=(num_rows + 3 * self.num_prefix_tokens, self.num_heads),
            initializer="zeros",
        )
        index = ops.relative_position_index(self.grid, self.num_prefix_tokens)
        self.index = index.reshape(-1)

    def resized_table(self, other):
        """Returns this layer's table for the grid of another.

        By SimMIM's geometric rule, which needs scipy; the rows of the class
        token stay.

        Args:
            other: `RelativePositionBias` that is to take the table.

        Returns:
            NumPy array of the shape of `other.table`.
        """
        check_kind(RelativePositionBias, other=other)
        table = keras.ops.convert_to_numpy(self.table)
        if self.grid == other.grid:
            return table
        count = len(table) - 3 * self.num_prefix_tokens
        offsets, prefix = np.split(table, [count])
        offsets = ops.resize_relative_positions(offsets, self.grid, other.grid)
        return np.concatenate([offsets, prefix])

    def call(self, tokens):
        if tokens.shape[1] not in (None, self.num_tokens):
            raise ValueError(
                "Relative positions need all tokens of an image, "
                f"{self.num_tokens}: an encoder with them cannot drop hidden "
                f"ones. Received: tokens of shape {tuple(tokens.shape)}"
            )
        bias = ops.take_columns(keras.ops.transpose(self.table), self.index)
        shape = (1, self.num_heads, self.num_tokens, self.num_tokens)
        return keras.ops.cast(keras.ops.reshape(bias, shape), tokens.dtype)

    def compute_output_shape(self, tokens_shape):
        height, width = self.grid
        num_tokens = self.num_prefix_tokens + height * width
        return 1, self.num_heads, num_tokens, num_tokens

    def get_config(self):
        return {
            **super().get_config(),
            "grid": self.grid,
            "num_heads": self.num_heads,
            "num_prefix_tokens": self.num_prefix_tokens,
        }
