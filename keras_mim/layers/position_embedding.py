import keras
import numpy as np

from keras_mim import ops
from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_choice
from keras_mim._checks import check_counts
from keras_mim._checks import check_grid
from keras_mim._checks import check_kind
from keras_mim._checks import get_initializer


@keras.saving.register_keras_serializable(package="keras_mim")
class PositionEmbedding(keras.layers.Layer):
    """Adds a position to every token: fixed sine-cosine, or learned.

    References: [He et al., 2021](https://arxiv.org/abs/2111.06377) for the
    fixed table (see `keras_mim.ops.sine_cosine_positions`); it is a
    non-trainable weight, so that it travels with the others.
    [Dosovitskiy et al., 2020](https://arxiv.org/abs/2010.11929) for the learned
    one.

    Args:
        grid: tuple of int. `(height, width)` in patches.
        kind: str. `"sine_cosine"` or `"learned"`.
            Defaults to `"sine_cosine"`.
        num_prefix_tokens: int. Number of tokens in front of the patches, such
            as the class token. The fixed table is zero for them.
            Defaults to `1`.
        initializer: Keras initializer of the learned table, or `None` for a
            normal distribution of deviation 0.02. Defaults to `None`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_prefix_tokens + num_patches,
            hidden_dim)`.

    Output shape: Same as `tokens`.
    """

    def __init__(
        self,
        grid,
        kind="sine_cosine",
        num_prefix_tokens=1,
        initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_choice("kind", kind, ("sine_cosine", "learned"))
        check_counts(least=0, num_prefix_tokens=num_prefix_tokens)
        self.grid = check_grid(grid)
        self.kind = kind
        self.num_prefix_tokens = num_prefix_tokens
        self.initializer = get_initializer(
            "initializer", initializer, or_none=True
        )

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, TOKENS)
        num_tokens = self.num_prefix_tokens + self.grid[0] * self.grid[1]
        if tokens_shape[1] != num_tokens:
            raise ValueError(
                "The number of tokens must be that of the grid with its prefix "
                f"tokens, {num_tokens}. Received: tokens of shape "
                f"{tuple(tokens_shape)}, grid={self.grid}, "
                f"num_prefix_tokens={self.num_prefix_tokens}"
            )
        fixed = self.kind == "sine_cosine"
        self.table = self.add_weight(
            name="table",
            shape=(1, num_tokens, tokens_shape[-1]),
            initializer=self._sine_cosine
            if fixed
            else self.initializer
            or keras.initializers.RandomNormal(stddev=0.02),
            trainable=not fixed,
        )

    def _sine_cosine(self, shape, dtype=None):
        table = ops.sine_cosine_positions(
            self.grid, shape[-1], self.num_prefix_tokens
        )
        return keras.ops.convert_to_tensor(table[None], dtype=dtype)

    def resized_table(self, other):
        """Returns this layer's table for the grid of another.

        Args:
            other: `PositionEmbedding` that is to take the table. A fixed table
                is computed anew for another grid, a learned one resized
                bicubically; the prefix tokens' rows stay.

        Returns:
            NumPy array of the shape of `other.table`.
        """
        check_kind(PositionEmbedding, other=other)
        table = keras.ops.convert_to_numpy(self.table)
        if self.grid == other.grid:
            return table
        count = self.num_prefix_tokens
        if self.kind == "sine_cosine":
            return ops.sine_cosine_positions(
                other.grid, table.shape[-1], count
            )[None]
        prefix, patches = np.split(table, [count], axis=1)
        patches = ops.resize_bicubic(
            patches.reshape(*self.grid, -1), other.grid
        )
        patches = patches.reshape(1, -1, table.shape[-1])
        return np.concatenate([prefix, patches], axis=1)

    def call(self, tokens):
        return tokens + keras.ops.cast(self.table, tokens.dtype)

    def compute_output_shape(self, tokens_shape):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "grid": self.grid,
            "kind": self.kind,
            "num_prefix_tokens": self.num_prefix_tokens,
            "initializer": keras.initializers.serialize(self.initializer),
        }
