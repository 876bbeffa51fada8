import functools
import math
import re

from keras_mim.converters.fill import fill
from keras_mim.converters.load import TABLE
from keras_mim.converters.load import swin_arrays
from keras_mim.converters.swin_layout import EXTRA_NORM
from keras_mim.converters.swin_layout import hf_swin_name
from keras_mim.converters.swin_layout import is_swin_v2
from keras_mim.converters.swin_layout import timm_swin_name
from keras_mim.converters.swin_v2_windows import swin_v2_windows
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2
from keras_mim.models import SimMIM

FIRST = re.compile(r"(^|\.)layers\.0\.blocks\.0\.")


def is_swin(checkpoint):
    """Whether the names of a checkpoint are those of a Swin."""
    return any(FIRST.search(name) for name in checkpoint.arrays)


def from_swin(checkpoint, image_shape, allow_missing, window_size):
    """Builds the Swin, v1 or v2, or SimMIM on one, that a checkpoint is of."""
    arrays, layout = swin_arrays(checkpoint)
    v2 = is_swin_v2(arrays)
    name_of = {
        "swin": str,
        "timm": timm_swin_name,
        "hf": functools.partial(hf_swin_name, v2=v2),
    }[layout]

    def get(name, rank):
        name = name_of(name)
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
    depths = _depths(arrays, name_of("layers.0.blocks."))
    attentions = [f"layers.{stage}.blocks.0.attn" for stage in depths]
    if v2:
        cls = SwinV2
        num_heads = [get(f"{name}.logit_scale", 3)[0] for name in attentions]
        window, pretrained = swin_v2_windows(checkpoint, depths, window_size)
        special = {
            "pretrained_window_sizes": pretrained,
            "extra_norm_every": _extra_norm_every(arrays),
        }
    else:
        cls = Swin
        # A table has a column for every head.
        tables = [get(f"{name}.{TABLE}", 2) for name in attentions]
        num_heads = [columns for _, columns in tables]
        window = (math.isqrt(tables[0][0]) + 1) // 2
        special = {}
    mlp_dim = get("layers.0.blocks.0.mlp.fc1.weight", 2)[0]
    encoder = cls(
        image_shape,
        patch_size,
        hidden_dim,
        tuple(depths.values()),
        tuple(num_heads),
        window_size=window_size or window,
        mlp_ratio=mlp_dim / hidden_dim,
        **special,
    )
    token = name_of("encoder.mask_token")
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


def _extra_norm_every(arrays):
    """Returns the number of blocks up to the first extra norm, if any."""
    pattern = re.compile(rf"blocks\.(\d+)\.{EXTRA_NORM}\.")
    found = [pattern.search(name) for name in arrays]
    return min((int(m[1]) + 1 for m in found if m), default=None)


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
