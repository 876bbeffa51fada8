import keras
from keras import ops

from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_flags
from keras_mim._checks import check_grid
from keras_mim.layers._settings import Composite
from keras_mim.layers._token_dense import make_dense
from keras_mim.layers._token_norm import TokenNorm


@keras.saving.register_keras_serializable(package="keras_mim")
class PatchMerging(Composite):
    """Merges 2x2 neighbouring tokens into one, twice as wide.

    The four tokens are joined in the order top left, bottom left, top right,
    bottom right, normalised, and reduced by a linear map without bias. A grid
    of odd height or width is padded with zeros at its end first.

    Reference: [Liu et al., 2021](https://arxiv.org/abs/2103.14030), Swin's
    `PatchMerging`: layer norm with epsilon 1e-5, kernel normal with standard
    deviation 0.02; padding as in its detection code and in transformers.
    [Swin v2](https://arxiv.org/abs/2111.09883) normalises what is reduced.

    Args:
        grid: tuple of int. `(height, width)` in tokens.
        norm_last: bool. Whether the norm comes after the reduction, as in
            Swin v2, and not before. Defaults to `False`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, grid_height * grid_width,
            hidden_dim)`, row by row.

    Output shape: `(batch_size, ceil(grid_height / 2) * ceil(grid_width / 2),
    2 * hidden_dim)`.
    """

    def __init__(self, grid, norm_last=False, **kwargs):
        super().__init__(**kwargs)
        check_flags(norm_last=norm_last)
        self.grid = check_grid(grid)
        self.norm_last = norm_last

    @property
    def output_grid(self):
        """`(height, width)` of the merged tokens."""
        return tuple(-(-side // 2) for side in self.grid)

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, TOKENS)
        if tokens_shape[1] != self.grid[0] * self.grid[1]:
            raise ValueError(
                "The number of tokens must be that of the grid. Received: "
                f"tokens of shape {tuple(tokens_shape)}, grid={self.grid}"
            )
        hidden_dim = tokens_shape[-1]
        self.norm = TokenNorm(
            epsilon=1e-5, dtype=self.dtype_policy, name="norm"
        )
        self.norm.build((None, (2 if self.norm_last else 4) * hidden_dim))
        self.reduction = make_dense(
            self,
            4 * hidden_dim,
            2 * hidden_dim,
            "reduction",
            keras.initializers.RandomNormal(stddev=0.02),
            use_bias=False,
        )

    def call(self, tokens):
        hidden_dim = tokens.shape[-1]
        height, width = self.grid
        rows, columns = self.output_grid
        x = ops.reshape(tokens, (-1, height, width, hidden_dim))
        if height % 2 or width % 2:
            x = ops.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
        x = ops.reshape(x, (-1, rows, 2, columns, 2, hidden_dim))
        x = ops.transpose(x, (0, 1, 3, 4, 2, 5))
        x = ops.reshape(x, (-1, rows * columns, 4 * hidden_dim))
        if self.norm_last:
            return self.norm(self.reduction(x))
        return self.reduction(self.norm(x))

    def compute_output_shape(self, tokens_shape):
        rows, columns = self.output_grid
        return tokens_shape[0], rows * columns, 2 * tokens_shape[-1]

    def get_config(self):
        return {
            **super().get_config(),
            "grid": self.grid,
            "norm_last": self.norm_last,
        }
