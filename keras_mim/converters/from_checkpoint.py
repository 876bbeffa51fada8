import math

from keras_mim import layers
from keras_mim import targets
from keras_mim.converters.checkpoint import Checkpoint
from keras_mim.converters.fill import fill
from keras_mim.converters.fit import is_sine_cosine
from keras_mim.converters.from_swin import from_swin
from keras_mim.converters.from_swin import is_swin
from keras_mim.converters.layouts import hf_name
from keras_mim.converters.load import TABLE
from keras_mim.converters.load import beit_arrays
from keras_mim.converters.load import hf_arrays
from keras_mim.converters.named_arrays import NamedArrays
from keras_mim.converters.report import abridged
from keras_mim.encoders import ViT
from keras_mim.models import MAE
from keras_mim.models import SimMIM

RELATIVE = {
    "shared_relative": f"rel_pos_bias.{TABLE}",
    "relative": f"blocks.0.attn.{TABLE}",
}
# Attention heads leave no trace in most weights: the published ones by width.
NUM_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}
DECODER_HEADS = {512: 16}


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
    """Builds the model that a checkpoint is of, and loads it.

    Reads the sizes off the arrays. A file with a decoder gives a
    `keras_mim.MAE`, SimMIM's own files and transformers' masked image
    modelling classes a `keras_mim.SimMIM`, any other ViT or Swin an encoder.
    Knows the names of MAE's files, timm's, transformers', BEiT's, SimMIM's and
    Swin's.

    Args:
        checkpoint: A path, a folder, `"hf://owner/name"` or a dict of arrays;
            see `load_mae`.
        image_shape: tuple of int or `None`. `(height, width, channels)` of the
            model; `None` is the checkpoint's own, which must then be square.
            The files of a Swin do not tell: only transformers' config does.
        num_heads: int or `None`. Attention heads of the encoder. They cannot
            be read off the arrays; `None` takes those of a published width, or
            transformers' `config.json`.
        decoder_num_heads: int or `None`. Likewise, of MAE's decoder.
        normalize: bool or `None`. Whether the model predicts normalised
            pixels, which the arrays do not tell either. `None` takes
            `config.json`'s word, else `True`, except for the
            `mae_visualize_*` files, which are known to predict raw ones.
        grid: tuple of int or `None`. `(height, width)` of the checkpoint in
            patches, where it is not square.
        allow_missing: tuple of str. As for `load_mae`.
        window_size: int or `None`. Side of a Swin's windows in tokens. `None`
            is the checkpoint's own, which timm's files of v2 do not tell.

    Returns:
        `keras_mim.encoders.ViT`, `Swin` or `SwinV2`, `keras_mim.MAE` or
        `keras_mim.SimMIM`.
    """
    checkpoint = Checkpoint.read(checkpoint)
    if is_swin(checkpoint):
        return from_swin(checkpoint, image_shape, allow_missing, window_size)
    arrays = _named(checkpoint)
    config = checkpoint.config
    hidden_dim, channels, patch_size, _ = arrays.get(
        "patch_embed.proj.weight", rank=4
    ).shape
    num_prefix_tokens = int("cls_token" in arrays)
    positions, grid, table = _positions(
        arrays, config.get("image_size"), patch_size, num_prefix_tokens, grid
    )
    if image_shape is None:
        image_shape = (grid[0] * patch_size, grid[1] * patch_size, channels)
    encoder = ViT(
        image_shape,
        patch_size,
        hidden_dim,
        arrays.depth("blocks."),
        num_heads
        or config.get("num_attention_heads")
        # A relative table has a column for every head.
        or (table.shape[-1] if "relative" in positions else None)
        or _known(NUM_HEADS, hidden_dim, "num_heads"),
        arrays.get("blocks.0.mlp.fc1.weight", rank=2).shape[0],
        use_class_token=bool(num_prefix_tokens),
        positions=positions,
        # The value does not matter: the checkpoint's replaces it.
        layer_scale=1.0
        if "blocks.0.ls1.gamma" in arrays or "blocks.0.gamma_1" in arrays
        else None,
        use_key_bias="blocks.0.attn.q_bias" not in arrays,
    )
    model = encoder
    if "decoder_embed.weight" in arrays:
        if normalize is None:
            raw = "mae_visualize" in checkpoint.source
            normalize = config.get("norm_pix_loss", not raw)
        model = MAE(
            encoder,
            head=_mae_head(arrays, config, decoder_num_heads),
            target=targets.PixelTarget(normalize=normalize),
        )
    elif "encoder.mask_token" in arrays and "decoder.0.weight" in arrays:
        model = SimMIM(encoder)
    fill(
        model,
        checkpoint,
        arrays.arrays,
        arrays.layout,
        allow_missing,
        grid,
        adapt_channels=image_shape[-1] != channels,
    )
    return model


def _positions(arrays, image_size, patch_size, num_prefix_tokens, grid):
    """Returns the kind of positions, the grid, and the table they are in."""
    if image_size is not None and grid is None:
        pair = isinstance(image_size, (list, tuple))
        grid = tuple(
            side // patch_size
            for side in (image_size if pair else (image_size, image_size))
        )
    for kind, name in RELATIVE.items():
        if name in arrays:
            table = arrays.get(name, rank=2)
            side = math.isqrt(max(len(table) - 3 * num_prefix_tokens, 0))
            side = (side + 1) // 2
            return kind, grid or (side, side), table
    table = arrays.get("pos_embed", rank=3)
    num_patches = table.shape[1] - num_prefix_tokens
    if grid is None:
        side = math.isqrt(max(num_patches, 0))
        grid = side, side
    if math.prod(grid) != num_patches:
        raise ValueError(
            f"{arrays.source} is of {num_patches} patches. Pass its grid, "
            f"(height, width) in patches. Received: grid={grid}"
        )
    fixed = is_sine_cosine(table, grid, num_prefix_tokens)
    return "sine_cosine" if fixed else "learned", grid, table


def _mae_head(arrays, config, num_heads):
    hidden_dim = arrays.get("decoder_embed.weight", rank=2).shape[0]
    return layers.MAEHead(
        hidden_dim,
        arrays.depth("decoder_blocks."),
        num_heads
        or config.get("decoder_num_attention_heads")
        or _known(DECODER_HEADS, hidden_dim, "decoder_num_heads"),
        arrays.get("decoder_blocks.0.mlp.fc1.weight", rank=2).shape[0],
    )


def _named(checkpoint):
    """Returns the arrays in the layout that their names give away."""
    candidates = [
        (hf_arrays(checkpoint.arrays), "hf"),
        (checkpoint.arrays, "mae"),
        (beit_arrays(checkpoint.arrays), "beit"),
    ]
    if any(name.endswith(TABLE) for name in checkpoint.arrays):
        del candidates[1]  # BEiT's own files have the same beginnings.
    for arrays, layout in candidates:
        named = NamedArrays(checkpoint.source, arrays, layout)
        if "patch_embed.proj.weight" in named:
            return named
    raise ValueError(
        f"{checkpoint.source} is no ViT in the names of MAE, timm, "
        "transformers, BEiT or SimMIM: it holds neither "
        "'patch_embed.proj.weight' nor "
        f"{hf_name('patch_embed.proj.weight')!r}, but: "
        f"{abridged(checkpoint.arrays)}"
    )


def _known(table, width, name):
    if width not in table:
        raise ValueError(
            f"`{name}` cannot be read off the arrays, and a width of {width} "
            f"is none of the published {sorted(table)}: pass it. "
            f"Received: {name}=None"
        )
    return table[width]
