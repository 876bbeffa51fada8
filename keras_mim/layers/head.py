import abc

from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim._checks import check_grid
from keras_mim.layers._settings import Composite


class Head(Composite, abc.ABC):
    """Decides how tokens become predictions: the base of all heads.

    A head learns the geometry of its encoder and the width of its target from
    the `MaskedImageModel` that it becomes part of; outside of one, give them.
    To write one of your own, implement `call`.

    Args:
        target_dim: int or `None`. Width of the prediction per patch.
        grid: tuple of int or `None`. `(height, width)` in patches.
        num_prefix_tokens: int or `None`. Number of tokens in front of the
            patches.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_tokens, hidden_dim)`: the
            encoder's output.
        masked: Boolean tensor of shape `(batch_size, num_patches)`, `True` =
            hidden.

    Output shape: `(batch_size, num_patches, target_dim)`.
    """

    def __init__(
        self, target_dim=None, grid=None, num_prefix_tokens=None, **kwargs
    ):
        super().__init__(**kwargs)
        check_counts(or_none=True, target_dim=target_dim)
        check_counts(0, or_none=True, num_prefix_tokens=num_prefix_tokens)
        self.target_dim = target_dim
        self.grid = check_grid(grid, or_none=True)
        self.num_prefix_tokens = num_prefix_tokens

    def build(self, tokens_shape, masked_shape):
        check_rank("tokens", tokens_shape, TOKENS)
        check_rank("masked", masked_shape, "(batch_size, num_patches)")
        for name in ("target_dim", "grid", "num_prefix_tokens"):
            if getattr(self, name) is None:
                raise ValueError(
                    f"`{type(self).__name__}` needs `{name}` when it is used "
                    f"outside of a model. Received: {name}=None"
                )

    def compute_output_shape(self, tokens_shape, masked_shape):
        return tokens_shape[0], masked_shape[1], self.target_dim

    def get_config(self):
        return {
            **super().get_config(),
            "target_dim": self.target_dim,
            "grid": self.grid,
            "num_prefix_tokens": self.num_prefix_tokens,
        }
