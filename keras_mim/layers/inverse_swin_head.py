import keras

from keras_mim._checks import arguments_of_size
from keras_mim._checks import check_counts
from keras_mim.layers._swin_sizes import SIZES as SWIN_SIZES
from keras_mim.layers._swin_sizes import check_stages
from keras_mim.layers._token_dense import make_dense
from keras_mim.layers._token_norm import TokenNorm
from keras_mim.layers.grid_head import GridHead
from keras_mim.layers.patch_splitting import PatchSplitting
from keras_mim.layers.swin_block import SwinBlock

# The two that SimMIM inverts.
SIZES = {size: SWIN_SIZES[size] for size in ("tiny", "base")}


@keras.saving.register_keras_serializable(package="keras_mim")
class InverseSwinHead(GridHead):
    """A Swin run backwards: from coarse tokens to one per patch.

    A linear map to the width of the Swin's last stage; its stages in reverse
    order, `PatchSplitting` between them, each token becoming four of half the
    width; a layer norm and a linear layer to the prediction of each patch. The
    heaviest head that SimMIM compares, and no better than its linear one.

    Takes any encoder. There are as many splittings as tokens have been merged:
    behind a `Swin` of four stages, all four run; behind a `ViT`, only the
    widest does.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), section
    3.3, names "inverse Swin-T" and "inverse Swin-B"; no description and no code
    is published. Chosen here: the linear map in front also where the widths are
    the same; blocks as Swin's, every second one with shifted windows; no
    stochastic depth. Initialised as Swin, the last layer as `SimMIMHead`.

    Args:
        hidden_dim: int. As those below, an argument of the Swin to invert:
            width of a token in its first stage, which is the head's last.
            Defaults to `128`.
        depths: tuple of int. Number of blocks per stage of the Swin, finest
            first. Defaults to `(2, 2, 18, 2)`.
        num_heads: tuple of int. Number of attention heads per stage of the
            Swin, finest first. Defaults to `(4, 8, 16, 32)`.
        window_size: int. Side of a window in tokens; the encoder's is the
            natural choice. Defaults to `7`.
        target_dim: int or `None`. Width of the prediction per patch; `None`
            takes the model's target's, and so on for the next two.
        grid: tuple of int or `None`. `(height, width)` in patches.
        num_prefix_tokens: int or `None`. Number of tokens in front, which
            are left out.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_prefix_tokens + num_tokens,
            encoder_dim)`; each token must stand for a square of patches whose
            side is a power of two.
        masked: Boolean tensor of shape `(batch_size, num_patches)`.

    Output shape: `(batch_size, num_patches, target_dim)`.

    Example:

    >>> encoder = keras_mim.encoders.Swin.from_size(
    ...     "base", (192, 192, 3), window_size=6
    ... )
    >>> head = keras_mim.layers.InverseSwinHead.from_size(
    ...     "base", window_size=6
    ... )
    >>> simmim = keras_mim.SimMIM(encoder, head=head)
    """

    def __init__(
        self,
        hidden_dim=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        window_size=7,
        target_dim=None,
        grid=None,
        num_prefix_tokens=None,
        **kwargs,
    ):
        super().__init__(target_dim, grid, num_prefix_tokens, **kwargs)
        depths, num_heads = check_stages(depths, num_heads)
        check_counts(hidden_dim=hidden_dim, window_size=window_size)
        self.hidden_dim = hidden_dim
        self.depths = depths
        self.num_heads = num_heads
        self.window_size = window_size

    @classmethod
    def from_size(cls, size, **kwargs):
        """Builds the mirror of a Swin of the paper: tiny or base.

        Args:
            size: str. Name of the size.
            **kwargs: Further arguments; they win over the size's.
        """
        return cls(**{**arguments_of_size(SIZES, size), **kwargs})

    def build(self, tokens_shape, masked_shape):
        super().build(tokens_shape, masked_shape)
        side, last = self.patches_per_side, len(self.depths) - 1
        num_splittings = side.bit_length() - 1
        if side != 2**num_splittings or num_splittings > last:
            raise ValueError(
                "Each splitting halves the side of what a token stands for: it "
                "must be a power of two, and `depths` must hold one stage more "
                f"than there are splittings. Received: {side} patches per "
                f"side, depths={self.depths}"
            )
        self.embedding = make_dense(
            self,
            tokens_shape[-1],
            self.hidden_dim * 2**last,
            "embedding",
            keras.initializers.RandomNormal(stddev=0.02),
        )
        # In the order in which they run.
        grid = self.token_grid
        trunk = self._blocks(last, grid)
        for stage in reversed(range(last - num_splittings, last)):
            splitting = self._splitting(stage, grid)
            grid = splitting.output_grid
            trunk += [splitting, *self._blocks(stage, grid)]
        self.trunk = trunk
        dim = self.hidden_dim * 2 ** (last - num_splittings)
        self.norm = TokenNorm(
            epsilon=1e-5, dtype=self.dtype_policy, name="norm"
        )
        self.norm.build((None, masked_shape[1], dim))
        self.prediction = self.linear(dim, self.target_dim, "prediction")

    def _blocks(self, stage, grid):
        dim = self.hidden_dim * 2**stage
        blocks = [
            SwinBlock(
                grid,
                self.num_heads[stage],
                self.window_size,
                4 * dim,
                shift_size=i % 2 * (self.window_size // 2),
                dtype=self.dtype_policy,
                name=f"stage_{stage}_block_{i}",
            )
            for i in range(self.depths[stage])
        ]
        for block in blocks:
            block.build((None, grid[0] * grid[1], dim))
        return blocks

    def _splitting(self, stage, grid):
        splitting = PatchSplitting(
            grid, dtype=self.dtype_policy, name=f"stage_{stage}_splitting"
        )
        dim = self.hidden_dim * 2 ** (stage + 1)
        splitting.build((None, grid[0] * grid[1], dim))
        return splitting

    def call(self, tokens, masked):
        x = self.embedding(tokens[:, self.num_prefix_tokens :])
        for layer in self.trunk:
            x = layer(x)
        return self.prediction(self.norm(x))

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "depths": self.depths,
            "num_heads": self.num_heads,
            "window_size": self.window_size,
        }
