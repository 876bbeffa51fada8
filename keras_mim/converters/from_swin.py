import math
import re

from keras_mim.converters.fill import fill
from keras_mim.converters.load import TABLE
from keras_mim.converters.load import swin_arrays
from keras_mim.converters.swin_layout import hf_swin_name
from keras_mim.converters.swin_layout import timm_swin_name
from keras_mim.encoders import Swin
from keras_mim.models import SimMIM

FIRST = re.compile(r"(^|\.)layers\.0\.blocks\.0\.")
NAMES = {"swin": str, "timm": timm_swin_name, "hf": hf_swin_name}


def is_swin(checkpoint):
    """Whether the names of a checkpoint are those of a Swin."""
    return any(FIRST.search(name) for name in checkpoint.arrays)


def from_swin(checkpoint, image_shape, allow_missing):
    """Builds the Swin, or SimMIM on one, that a checkpoint is of."""
    arrays, layout = swin_arrays(checkpoint)

    def get(name, rank):
        name = NAMES[layout](name)
        shape = arrays[name].shape if name in arrays else ()
        if len(shape) != rank or 0 in shape:
            raise ValueError(
                f"{checkpoint.source} must hold `{name}` with {rank} axes, "
                "from which the model's size is read. "
                f"Received: shape {shape}"
            )
        return shape

    hidden_dim, channels, patch_size, _ = get("patch_embed.proj.weight", 4)
    size = checkpoint.config.get("image_size")
    if image_shape is None and size is None:
        raise ValueError(
            f"{checkpoint.source} does not tell the size of its images, as no "
            "file of a Swin does: pass image_shape, (height, width, channels). "
            "Received: image_shape=None"
        )
    if image_shape is None:
        height, width = (size, size) if isinstance(size, int) else size
        image_shape = height, width, channels
    depths = _depths(arrays, NAMES[layout]("layers.0.blocks."))
    tables = [get(f"layers.{s}.blocks.0.attn.{TABLE}", 2) for s in depths]
    mlp_dim = get("layers.0.blocks.0.mlp.fc1.weight", 2)[0]
    encoder = Swin(
        image_shape,
        patch_size,
        hidden_dim,
        tuple(depths.values()),
        # A table has a column for every head.
        tuple(num_heads for _, num_heads in tables),
        window_size=(math.isqrt(tables[0][0]) + 1) // 2,
        mlp_ratio=mlp_dim / hidden_dim,
    )
    token = NAMES[layout]("encoder.mask_token")
    has_head = token in arrays and "decoder.0.weight" in arrays
    model = SimMIM(encoder) if has_head else encoder
    fill(
        model,
        checkpoint,
        arrays,
        layout,
        allow_missing,
        adapt_channels=image_shape[-1] != channels,
    )
    return model


def _depths(arrays, first):
    """Returns the number of blocks by stage."""
    pattern = re.escape(first).replace("0", r"(\d+)", 1) + r"(\d+)\."
    depths = {}
    for name in arrays:
        match = re.match(pattern, name)
        if match:
            stage, block = int(match[1]), int(match[2])
            depths[stage] = max(depths.get(stage, 0), block + 1)
    return dict(sorted(depths.items()))
