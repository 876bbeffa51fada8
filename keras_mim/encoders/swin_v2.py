import keras

from keras_mim import layers
from keras_mim._checks import check
from keras_mim._checks import check_counts
from keras_mim._checks import is_int
from keras_mim.encoders._window_encoder import WindowEncoder
from keras_mim.layers._swin_sizes import SIZES as V1_SIZES
from keras_mim.layers._swin_sizes import check_stages

# [Liu et al., 2021](https://arxiv.org/abs/2111.09883), section 3.5: Swin's
# sizes and two more. All heads have 32 channels.
SIZES = {
    **V1_SIZES,
    "huge": {
        "hidden_dim": 352,
        "depths": (2, 2, 18, 2),
        "num_heads": (11, 22, 44, 88),
        "extra_norm_every": 6,
    },
    "giant": {
        "hidden_dim": 512,
        "depths": (2, 2, 42, 4),
        "num_heads": (16, 32, 64, 128),
        "extra_norm_every": 6,
    },
}


@keras.saving.register_keras_serializable(package="keras_mim")
class SwinV2(WindowEncoder):
    """Swin v2: cosine attention, norms after branches, positions of any window.

    An `Encoder` with the stages and attributes of `Swin`. Its weights do not
    depend on window and image: with `pretrained_window_sizes` they fit any
    other.

    Reference: [Liu et al., 2021](https://arxiv.org/abs/2111.09883), initialised
    as in Microsoft's code; its huge and giant sizes, whose code is not
    published, after the paper. "Every 6 layers" of their extra norms is
    counted in each stage: it meets the third alone, after its 6th, 12th and
    every further 6th block.

    Args:
        image_shape, patch_size, hidden_dim, depths, num_heads: As those of
            `Swin`.
        window_size: int. Side of a window in tokens. Defaults to `8`, which
            goes with images of 256 pixels.
        mlp_ratio, drop_path_rate, remat: As those of `Swin`.
        pretrained_window_sizes: tuple of int or `None`. Per stage, the side of
            the windows that the weights were trained with, or 0 for that of
            the windows here. `None` is 0 for all. Defaults to `None`.
        extra_norm_every: int or `None`. Number of blocks of a stage after
            which a layer norm stands on the main branch. `None` leaves it
            out. Defaults to `None`.
        normalization: `keras_mim.Normalization` or `None`. See `Encoder`.
            Defaults to `None`.

    Input shape: `(batch_size, height, width, channels)`: normalized pixels, or
    bytes (uint8).

    Output shape: `(batch_size, output_height * output_width, output_dim)`, row
    by row.

    Example:

    >>> encoder = keras_mim.encoders.SwinV2.from_size("tiny", (256, 256, 3))
    >>> encoder(np.zeros((1, 256, 256, 3))).shape
    (1, 64, 768)
    """

    sizes = SIZES
    block_class = layers.SwinV2Block

    def __init__(
        self,
        image_shape,
        patch_size=4,
        hidden_dim=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        window_size=8,
        mlp_ratio=4,
        drop_path_rate=0.0,
        pretrained_window_sizes=None,
        extra_norm_every=None,
        remat=False,
        name="swin_v2",
        **kwargs,
    ):
        check_counts(or_none=True, extra_norm_every=extra_norm_every)
        depths, num_heads = check_stages(depths, num_heads)
        if pretrained_window_sizes is not None:
            sizes = pretrained_window_sizes
            right = isinstance(sizes, (tuple, list))
            right = right and len(sizes) == len(depths)
            right = right and all(is_int(n) and 0 <= n < 2**31 for n in sizes)
            expected = f"{len(depths)} non-negative ints, or None"
            check(right, "pretrained_window_sizes", sizes, expected)
            pretrained_window_sizes = tuple(sizes)

        def block_options(stage, i):
            every, pretrained = extra_norm_every, pretrained_window_sizes
            return {
                "pretrained_window_size": pretrained
                and pretrained[stage]
                or None,
                "use_extra_norm": every is not None and (i + 1) % every == 0,
            }

        super().__init__(
            image_shape,
            patch_size,
            hidden_dim,
            depths,
            num_heads,
            window_size,
            mlp_ratio,
            drop_path_rate,
            remat,
            name=name,
            block_options=block_options,
            **kwargs,
        )
        self.pretrained_window_sizes = pretrained_window_sizes
        self.extra_norm_every = extra_norm_every

    def undecayed_weights(self):
        return [
            kernel
            for block in self.blocks
            for kernel in (
                block.attention.position_in.kernel,
                block.attention.position_out.kernel,
            )
        ]

    def copy(self, **changes):
        # Other windows measure offsets by those that the weights know.
        if {"image_shape", "window_size"} & set(changes):
            sizes = self.pretrained_window_sizes or (0,) * len(self.depths)
            firsts = [sum(self.depths[:stage]) for stage in range(len(sizes))]
            sizes = tuple(
                size or self.blocks[first].attention.window
                for size, first in zip(sizes, firsts)
            )
            changes = {"pretrained_window_sizes": sizes, **changes}
        return super().copy(**changes)

    def get_config(self):
        return {
            **super().get_config(),
            "pretrained_window_sizes": self.pretrained_window_sizes,
            "extra_norm_every": self.extra_norm_every,
        }
