import math

import keras

from keras_mim import ops
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim.layers._token_dense import make_dense
from keras_mim.layers._token_dense import torch_default
from keras_mim.layers.head import Head


class GridHead(Head):
    """A head that takes all tokens of an image, as a grid.

    The tokens of a plain encoder stand for one patch each. Those of a
    hierarchical one, such as Swin, stand for a square of patches. Once built, a
    head knows the side of that square, `patches_per_side`, and `token_grid`,
    the tokens' `(height, width)`. Visible tokens alone make no grid: for MAE,
    use a head that restores the hidden ones.

    Args:
        target_dim: int or `None`. Width of the prediction per patch.
        grid: tuple of int or `None`. `(height, width)` in patches.
        num_prefix_tokens: int or `None`. Number of tokens in front, which
            predict nothing.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_prefix_tokens + num_tokens,
            hidden_dim)`; `num_patches` must be a square multiple of
            `num_tokens`.
        masked: Boolean tensor of shape `(batch_size, num_patches)`.

    Output shape: `(batch_size, num_patches, target_dim)`.
    """

    def build(self, tokens_shape, masked_shape):
        super().build(tokens_shape, masked_shape)
        num_tokens = tokens_shape[1] - self.num_prefix_tokens
        num_patches = masked_shape[1]
        side = max(math.isqrt(num_patches // max(num_tokens, 1)), 1)
        divisible = not any(length % side for length in self.grid)
        if num_tokens * side**2 != num_patches or not divisible:
            raise ValueError(
                "Each token must stand for one patch, or for a square of them. "
                f"Received: {num_tokens} tokens for a grid of {self.grid}; is "
                "the image divisible by the encoder's stride?"
            )
        self.patches_per_side = side
        self.token_grid = tuple(length // side for length in self.grid)

    def linear(self, input_dim, units, name):
        """Returns a built linear layer, initialised as PyTorch's are.

        Kernel and bias are uniform within `1 / sqrt(fan_in)`, PyTorch's default
        for linear layers and convolutions, which SimMIM leaves its head at.
        """
        check_counts(input_dim=input_dim, units=units)
        return make_dense(
            self,
            input_dim,
            units,
            name,
            torch_default(input_dim),
            bias_initializer=torch_default(input_dim),
        )

    def to_patches(self, values, repeats=1):
        """Puts what each token predicts in the order of the patches.

        Args:
            values: Tensor of shape `(batch_size, num_tokens, side ** 2 *
                target_dim)` with `side = patches_per_side // repeats`: the
                predictions of a token, row by row.
            repeats: int. Side, in patches, of the square that one of these
                predictions is for. Defaults to `1`.

        Returns:
            Tensor of shape `(batch_size, num_patches, target_dim)`.
        """
        axes = "(batch_size, num_tokens, values)"
        check_rank("values", values, axes)
        check_counts(repeats=repeats)
        side = self.patches_per_side // repeats
        height, width = self.token_grid
        x = values
        if side > 1:
            shape = (-1, height, width, side, side, self.target_dim)
            x = keras.ops.reshape(x, shape)
            x = keras.ops.transpose(x, (0, 1, 3, 2, 4, 5))
        if repeats > 1:
            shape = (-1, height * side, width * side, self.target_dim)
            x = ops.enlarge(keras.ops.reshape(x, shape), repeats)
        num_patches = self.grid[0] * self.grid[1]
        return keras.ops.reshape(x, (-1, num_patches, self.target_dim))
