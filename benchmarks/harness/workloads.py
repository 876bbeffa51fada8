"""The models that are timed, by name, as numbers that all sides build from."""

import dataclasses

from harness import flops


@dataclasses.dataclass(frozen=True)
class MAE:
    """A ViT under MAE, with normalised pixels as the target.

    With `mask_tokens` the encoder sees hidden patches too, as mask tokens:
    SimMIM with MAE's decoder, the paper's table 1c.
    """

    dim: int
    depth: int
    heads: int
    side: int = 224
    patch_size: int = 16
    decoder: tuple = (512, 8, 16)  # Width, blocks, heads.
    mask_ratio: float = 0.75
    mask_tokens: bool = False

    @property
    def num_patches(self):
        return (self.side // self.patch_size) ** 2

    @property
    def num_visible(self):
        return int(self.num_patches * (1 - self.mask_ratio))

    def forward_flops(self):
        """FLOPs of an image's matrix products, counted from the shapes."""
        return flops.mae(
            self.num_patches,
            3 * self.patch_size**2,
            (self.dim, self.depth),
            self.decoder[:2],
            seen=1
            + (self.num_patches if self.mask_tokens else self.num_visible),
        )

    def build(self, remat=False):
        import keras_mim

        encoder = keras_mim.encoders.ViT(
            (self.side, self.side, 3),
            self.patch_size,
            self.dim,
            self.depth,
            self.heads,
            4 * self.dim,
            remat=remat,
        )
        method = keras_mim.SimMIM if self.mask_tokens else keras_mim.MAE
        return method(
            encoder,
            keras_mim.masking.RandomMasking(self.mask_ratio),
            keras_mim.layers.MAEHead(*self.decoder, remat=remat),
            keras_mim.targets.PixelTarget(normalize=True),
        )


@dataclasses.dataclass(frozen=True)
class SimMIM:
    """A Swin under SimMIM: 60 % of 32-pixel cells hidden, a linear head."""

    dim: int
    depths: tuple
    heads: tuple
    side: int = 192
    window_size: int = 6

    @property
    def num_hidden_cells(self):
        """Of 32 x 32 pixels, as many as the last stage has tokens."""
        return -(-6 * (self.side // 32) ** 2 // 10)

    def forward_flops(self):
        """FLOPs of an image's matrix products, counted from the shapes."""
        tokens, dim = (self.side // 4) ** 2, self.dim
        total = 2 * tokens * 48 * dim
        for stage, depth in enumerate(self.depths):
            if stage:  # Four tokens of `dim` become one of twice the width.
                tokens, dim = tokens // 4, 2 * dim
                total += 2 * tokens * 2 * dim * dim
            total += depth * flops.block(tokens, dim, self.window_size**2)
        return total + 2 * tokens * dim * 3 * 32**2

    def build(self, remat=False):
        import keras_mim

        encoder = keras_mim.encoders.Swin(
            (self.side, self.side, 3),
            hidden_dim=self.dim,
            depths=self.depths,
            num_heads=self.heads,
            window_size=self.window_size,
            remat=remat,
        )
        return keras_mim.SimMIM(encoder)


MODELS = {
    "mae_vit_tiny": MAE(192, 12, 3, 64, 8, (128, 4, 4)),
    "mae_vit_small": MAE(384, 12, 6),
    "mae_vit_base": MAE(768, 12, 12),
    "mae_vit_large": MAE(1024, 24, 16),
    "mae_vit_huge": MAE(1280, 32, 16, patch_size=14),
    "simmim_swin_base": SimMIM(128, (2, 2, 18, 2), (4, 8, 16, 32)),
}


def compiled(workload, precision, jit_compile=None, remat=False):
    """Returns ours, compiled as it trains.

    Args:
        workload: one of `MODELS`.
        precision: str. `"float32"` or `"bfloat16"`.
        jit_compile: bool or None. XLA; None is Keras's choice.
        remat: bool. See `keras_mim.encoders.ViT`.
    """
    import keras

    if precision != "float32":
        keras.config.set_dtype_policy(f"mixed_{precision}")
    model = workload.build(remat)
    model.compile(
        keras.optimizers.AdamW(1e-4, weight_decay=0.05, beta_2=0.95),
        loss="mse" if isinstance(workload, MAE) else "mae",
        jit_compile="auto" if jit_compile is None else jit_compile,
    )
    return model
