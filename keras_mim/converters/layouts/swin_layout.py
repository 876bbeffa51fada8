import dataclasses
import functools
import math
import re

import numpy as np

from keras_mim import layers
from keras_mim.converters._configuration import normalization_of
from keras_mim.converters._entries import DENSE
from keras_mim.converters._entries import Entry
from keras_mim.converters._entries import Form
from keras_mim.converters._entries import dense
from keras_mim.converters._entries import norm
from keras_mim.converters._entries import patches
from keras_mim.converters._entries import without_key_bias
from keras_mim.converters.layouts.layout import Layout
from keras_mim.converters.layouts.layout import encoder_of
from keras_mim.converters.layouts.swin_v2_windows import check_swin_v2_windows
from keras_mim.converters.layouts.swin_v2_windows import swin_v2_windows
from keras_mim.encoders import SwinV2

TABLE = "relative_position_bias_table"
FIRST_BLOCK = re.compile(r"(^|\.)layers\.0\.blocks\.0\.")

# Of huge and giant v2, which no published file holds; mmpretrain's name.
EXTRA_NORM = "norm3"

# One logit scale per head, `(num_heads, 1, 1)` in files.
SCALE = Form(np.ravel, lambda x: x.reshape(-1, 1, 1))


@dataclasses.dataclass(frozen=True)
class SwinLayout(Layout):
    """How a family of checkpoints stores a Swin, or a Swin v2.

    Microsoft's names come first: SimMIM's without their `encoder.`.

    Attributes:
        hallmark: str or `None`. A name that tells the family's files from those
            of others; `None` takes every Swin.
    """

    hallmark: str | None = None

    @property
    def is_v2(self):
        return self.encoder_class is SwinV2

    def recognizes(self, checkpoint):
        names = checkpoint.arrays
        if not any(map(FIRST_BLOCK.search, names)):
            return False
        if self.is_v2 != any(name.endswith(".logit_scale") for name in names):
            return False
        read = self.read(checkpoint).arrays
        return self.hallmark is None or self.hallmark in read

    def read(self, checkpoint, model=None):
        if self.is_v2 and model is not None:
            check_swin_v2_windows(checkpoint, encoder_of(model))
        return super().read(checkpoint, model)

    def encoder_entries(self, encoder):
        patch_layer, patch_norm = encoder.patch_embedding.layers
        found = patches("patch_embed.proj", patch_layer)
        found |= norm("patch_embed.norm", patch_norm)
        blocks = iter(encoder.blocks)
        for stage, depth in enumerate(encoder.depths):
            for i in range(depth):
                found |= _block(f"layers.{stage}.blocks.{i}", next(blocks))
        for stage, merging in enumerate(encoder.mergings):
            prefix = f"layers.{stage}.downsample"
            found |= norm(f"{prefix}.norm", merging.norm)
            reduction = Entry(merging.reduction.kernel, DENSE)
            found[f"{prefix}.reduction.weight"] = reduction
        return found | norm("norm", encoder.norm)

    def build_encoder(self, checkpoint, hints):
        get = functools.partial(self.array, checkpoint)
        hidden_dim, channels, patch_size, _ = get(
            "patch_embed.proj.weight", rank=4
        ).shape
        mlp_dim, _ = get("layers.0.blocks.0.mlp.fc1.weight", rank=2).shape
        depths = self._depths(checkpoint)
        attentions = [f"layers.{stage}.blocks.0.attn" for stage in depths]
        if self.is_v2:
            scales = [get(f"{name}.logit_scale", 3) for name in attentions]
            num_heads = tuple(len(scale) for scale in scales)
            window, pretrained = swin_v2_windows(
                checkpoint, depths, hints.window_size
            )
            special = {
                "pretrained_window_sizes": pretrained,
                "extra_norm_every": _extra_norm_every(checkpoint),
            }
        else:
            tables = [get(f"{name}.{TABLE}", 2) for name in attentions]
            # A table has a column for every head.
            num_heads = tuple(table.shape[1] for table in tables)
            window, special = (math.isqrt(len(tables[0])) + 1) // 2, {}
        image_shape = hints.image_shape or _image_shape(checkpoint, channels)
        encoder = self.encoder_class(
            image_shape,
            patch_size,
            hidden_dim,
            tuple(depths.values()),
            num_heads,
            window_size=hints.window_size or window,
            mlp_ratio=mlp_dim / hidden_dim,
            drop_path_rate=checkpoint.config.get("drop_path_rate", 0.0),
            normalization=normalization_of(checkpoint, image_shape[-1]),
            **special,
        )
        return encoder, None

    def _depths(self, checkpoint):
        """Returns the number of blocks by stage."""
        first = re.escape(self.name_of("layers.0.blocks."))
        pattern = first.replace("0", r"(\d+)", 1) + r"(\d+)\."
        depths = {}
        for name in checkpoint.arrays:
            match = re.match(pattern, name)
            if match:
                stage, block = int(match[1]), int(match[2])
                depths[stage] = max(depths.get(stage, 0), block + 1)
        return dict(sorted(depths.items()))


def _image_shape(checkpoint, channels):
    size = checkpoint.config.get("image_size")
    if size is None:
        raise ValueError(
            f"{checkpoint.source} does not tell the size of its images, as no "
            "file of a Swin does: pass image_shape, (height, width, channels). "
            "Received: image_shape=None"
        )
    height, width = (size, size) if isinstance(size, int) else size
    return height, width, channels


def _extra_norm_every(checkpoint):
    """Returns the number of blocks up to the first extra norm, if any."""
    pattern = re.compile(rf"blocks\.(\d+)\.{EXTRA_NORM}\.")
    found = [pattern.search(name) for name in checkpoint.arrays]
    return min((int(m[1]) + 1 for m in found if m), default=None)


def _block(prefix, block):
    v2 = isinstance(block, layers.SwinV2Block)
    found = {
        **norm(f"{prefix}.norm1", block.attention_norm),
        **(_cosine if v2 else _biased)(f"{prefix}.attn", block.attention),
        **dense(f"{prefix}.attn.proj", block.attention.projection),
        **norm(f"{prefix}.norm2", block.mlp_norm),
        **dense(f"{prefix}.mlp.fc1", block.mlp_in),
        **dense(f"{prefix}.mlp.fc2", block.mlp_out),
    }
    if v2 and block.use_extra_norm:
        found |= norm(f"{prefix}.{EXTRA_NORM}", block.extra_norm)
    return found


def _biased(prefix, attention):
    window = (attention.window, attention.window)
    table = Entry(attention.table, kind="window", grid=window)
    return {
        f"{prefix}.{TABLE}": table,
        **dense(f"{prefix}.qkv", attention.query_key_value),
    }


def _cosine(prefix, attention):
    kernel = attention.position_out.kernel
    return {
        f"{prefix}.logit_scale": Entry(attention.logit_scale, SCALE),
        **dense(f"{prefix}.cpb_mlp.0", attention.position_in),
        f"{prefix}.cpb_mlp.2.weight": Entry(kernel, DENSE),
        **without_key_bias(prefix, attention),
    }
