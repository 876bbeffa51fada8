import keras
from keras import ops

from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_grid
from keras_mim.layers._settings import Composite
from keras_mim.layers._token_dense import make_dense
from keras_mim.layers._token_norm import TokenNorm


@keras.saving.register_keras_serializable(package="keras_mim")
class PatchSplitting(Composite):
    """Splits every token into 2x2 tokens, half as wide.

    `PatchMerging` turned around: a linear map without bias doubles the width,
    the result is cut into four, and each of the new tokens is normalised. The
    cuts go where `PatchMerging` took them from: top left, bottom left, top
    right, bottom right.

    Reference: none has it for SimMIM, whose inverse Swin is unpublished. The
    maps are those of Swin-Unet's `PatchExpand` ([Cao et al., 2021](
    https://arxiv.org/abs/2105.05537)), which cuts row by row; the norm's
    epsilon of 1e-5 and the kernel, normal with standard deviation 0.02, are
    Swin's.

    Args:
        grid: tuple of int. `(height, width)` of the tokens before splitting.

    Call arguments:
        tokens: Tensor of shape `(batch_size, grid_height * grid_width,
            hidden_dim)`, row by row; `hidden_dim` is even.

    Output shape: `(batch_size, 4 * grid_height * grid_width,
    hidden_dim // 2)`, row by row of the finer grid.
    """

    def __init__(self, grid, **kwargs):
        super().__init__(**kwargs)
        self.grid = check_grid(grid)

    @property
    def output_grid(self):
        """`(height, width)` of the new tokens."""
        return tuple(2 * side for side in self.grid)

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, TOKENS)
        _, num_tokens, hidden_dim = tokens_shape
        if num_tokens != self.grid[0] * self.grid[1] or hidden_dim % 2:
            raise ValueError(
                "The number of tokens must be that of the grid, and their "
                "width even. Received: tokens of shape "
                f"{tuple(tokens_shape)}, grid={self.grid}"
            )
        self.expansion = make_dense(
            self,
            hidden_dim,
            2 * hidden_dim,
            "expansion",
            keras.initializers.RandomNormal(stddev=0.02),
            use_bias=False,
        )
        self.norm = TokenNorm(
            epsilon=1e-5, dtype=self.dtype_policy, name="norm"
        )
        self.norm.build((None, 4 * num_tokens, hidden_dim // 2))

    def call(self, tokens):
        _, num_tokens, hidden_dim = tokens.shape
        x = self.expansion(tokens)
        x = ops.reshape(x, (-1, *self.grid, 2, 2, hidden_dim // 2))
        # The first of the twos is the column: see the order above.
        x = ops.transpose(x, (0, 1, 4, 2, 3, 5))
        return self.norm(ops.reshape(x, (-1, 4 * num_tokens, hidden_dim // 2)))

    def compute_output_shape(self, tokens_shape):
        batch_size, num_tokens, hidden_dim = tokens_shape
        return batch_size, 4 * num_tokens, hidden_dim // 2

    def get_config(self):
        return {**super().get_config(), "grid": self.grid}
