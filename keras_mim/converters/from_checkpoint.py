from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim._checks import check_image_shape
from keras_mim.converters._checkpoint import Checkpoint
from keras_mim.converters._checkpoint import check_load
from keras_mim.converters.layouts import HF
from keras_mim.converters.layouts import LAYOUTS
from keras_mim.converters.layouts.layout import Hints
from keras_mim.converters.report import abridged


def from_checkpoint(
    checkpoint,
    image_shape=None,
    num_heads=None,
    decoder_num_heads=None,
    normalize=None,
    grid=None,
    allow_missing=(),
    window_size=None,
):
    """Builds the model that a checkpoint holds, and loads it.

    Reads the sizes off the arrays. A file with a decoder gives a
    `keras_mim.MAE`, SimMIM's own files and transformers' masked image
    modelling classes a `keras_mim.SimMIM`, any other ViT or Swin an encoder.
    A folder's configuration says the rest: image statistics, which become
    `encoder.normalization`, heads and drop path; and what the model would
    compute otherwise, another activation for example, which is refused.
    Knows the names of MAE's files, timm's, transformers', BEiT's, SimMIM's and
    Swin's. A checkpoint does not tell the masking: a `keras_mim.SimMIM` has its
    default, or masks single patches of an image that squares of 32 pixels do
    not divide.

    Args:
        checkpoint: A path, a folder, `"hf://owner/name"` or a dict of arrays,
            with `"#model_ema"` and the like behind it for one of several sets
            of weights; see `load_mae`.
        image_shape: tuple of int or `None`. `(height, width, channels)` of the
            model; `None` is the checkpoint's own, which must then be square.
            The arrays of a Swin do not tell: only transformers' config and
            SimMIM's options do.
        num_heads: int or `None`. Attention heads of the encoder. They cannot
            be read off the arrays; `None` takes those of a published width, or
            transformers' `config.json`.
        decoder_num_heads: int or `None`. Likewise, of MAE's decoder.
        normalize: bool or `None`. Whether the model predicts normalized
            pixels, which the arrays do not tell either. `None` takes
            `config.json`'s word, else `True`, except for the
            `mae_visualize_*` files, which are known to predict raw ones.
        grid: tuple of int or `None`. `(height, width)` of the checkpoint in
            patches, where it is not square.
        allow_missing: tuple of str. As for `load_mae`. A ViT whose file has no
            final norm is built without one, unless `"norm"` is allowed to be
            missing.
        window_size: int or `None`. Side of a Swin's windows in tokens. `None`
            is the checkpoint's own, which timm's files of v2 do not tell.

    Returns:
        `keras_mim.encoders.ViT`, `Swin` or `SwinV2`, `keras_mim.MAE` or
        `keras_mim.SimMIM`.
    """
    image_shape = check_image_shape(image_shape, or_none=True)
    check_counts(
        or_none=True,
        num_heads=num_heads,
        decoder_num_heads=decoder_num_heads,
        window_size=window_size,
    )
    check_flags(or_none=True, normalize=normalize)
    check_load(allow_missing, grid)
    checkpoint = Checkpoint.read(checkpoint)
    hints = Hints(
        image_shape,
        num_heads,
        decoder_num_heads,
        normalize,
        grid,
        allow_missing,
        window_size,
    )
    for layout in LAYOUTS:
        if layout.recognizes(checkpoint):
            return layout.load(checkpoint, hints)
    name = "patch_embed.proj.weight"
    raise ValueError(
        f"{checkpoint.source} is no ViT and no Swin in the names of MAE, timm, "
        "transformers, BEiT, SimMIM or Microsoft: it holds neither "
        f"{name!r} nor {HF.name_of(name)!r}, but: "
        f"{abridged(checkpoint.arrays)}"
    )
