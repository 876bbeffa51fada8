"""Where every weight of a Swin, v1 or v2, stands in published checkpoints.

Names are first those of Microsoft's files, SimMIM's without their `encoder.`;
timm's and transformers' are derived from them.
"""

import re

import numpy as np

from keras_mim import layers
from keras_mim.converters.entry import DENSE
from keras_mim.converters.entry import Entry
from keras_mim.converters.entry import Form
from keras_mim.converters.entry import patch_kernel
from keras_mim.converters.renaming import rename
from keras_mim.converters.renaming import rename_all
from keras_mim.converters.renaming import split_query_key_value

# Microsoft's files also hold what follows from the window size.
COORDINATES = "relative_coords_table"
BUFFERS = ("relative_position_index", "attn_mask", COORDINATES)

# Of huge and giant v2, which no published file holds; mmpretrain's name.
EXTRA_NORM = "norm3"

# One logit scale per head, `(num_heads, 1, 1)` in files.
SCALE = Form(np.ravel, lambda x: x.reshape(-1, 1, 1))

# Microsoft's name -> transformers', as in the files on its hub.
HF_NAMES = (
    (r"^patch_embed\.proj\.", "swin.embeddings.patch_embeddings.projection."),
    (r"^patch_embed\.norm\.", "swin.embeddings.norm."),
    (r"^layers\.", "swin.encoder.layers."),
    (r"^norm\.", "swin.layernorm."),
    (r"^head\.", "classifier."),
    (r"^encoder\.mask_token$", "swin.embeddings.mask_token"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.q_bias$", ".attention.self.query.bias"),
    (r"\.attn\.v_bias$", ".attention.self.value.bias"),
    (r"\.attn\.cpb_mlp\.", ".attention.self.continuous_position_bias_mlp."),
    (r"\.attn\.", ".attention.self."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)

# For v2.
HF_V2_NAMES = (*HF_NAMES, (r"^swin\.", "swinv2."))

# transformers' names in memory since version 5 -> those in its files, of which
# those of a bare `SwinModel` have no prefix.
HF_RENAMED = (
    (r"^(embeddings|encoder|layernorm)\.", r"swin.\1."),
    (r"\.attention\.q_proj\.", ".attention.self.query."),
    (r"\.attention\.k_proj\.", ".attention.self.key."),
    (r"\.attention\.v_proj\.", ".attention.self.value."),
    (r"\.attention\.o_proj\.", ".attention.output.dense."),
    (r"\.attention\.relative_position_bias\.", ".attention.self."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)


def is_swin_buffer(name):
    """Whether an array of a file is no weight: an index, or a mask."""
    return name.split(".")[-1] in BUFFERS


def is_swin_v2(names):
    """Whether names are those of a Swin v2."""
    return any(name.endswith(".logit_scale") for name in names)


def swin_entries(encoder):
    """Returns the weights of a Swin by Microsoft's names.

    Args:
        encoder: `keras_mim.encoders.Swin` or `SwinV2`.

    Returns:
        Dict of str to `Entry`.
    """
    patches, norm = encoder.patch_embedding.layers
    kernel = patch_kernel(encoder.patch_size)
    found = {
        "patch_embed.proj.weight": Entry(patches.projection.kernel, kernel),
        "patch_embed.proj.bias": Entry(patches.projection.bias),
        **_norm("patch_embed.norm", norm),
    }
    blocks = iter(encoder.blocks)
    for stage, depth in enumerate(encoder.depths):
        for i in range(depth):
            found |= _block(f"layers.{stage}.blocks.{i}", next(blocks))
        if stage < len(encoder.mergings):
            merging = encoder.mergings[stage]
            prefix = f"layers.{stage}.downsample"
            found |= _norm(f"{prefix}.norm", merging.norm)
            reduction = Entry(merging.reduction.kernel, DENSE)
            found[f"{prefix}.reduction.weight"] = reduction
    return found | _norm("norm", encoder.norm)


def timm_swin_entries(entries):
    """Returns entries by timm's names, given them by Microsoft's."""
    return {timm_swin_name(name): entry for name, entry in entries.items()}


def hf_swin_entries(entries):
    """Returns entries by transformers' names, given them by Microsoft's.

    Its files have three arrays for a fused projection.
    """
    names = HF_V2_NAMES if is_swin_v2(entries) else HF_NAMES
    return rename_all(split_query_key_value(entries), names)


def timm_swin_name(name):
    """Returns timm's name of a weight, given Microsoft's.

    timm merges patches at the start of a stage, not at the end.
    """
    name = re.sub(r"^head\.", "head.fc.", name)
    return re.sub(
        r"^layers\.(\d+)\.downsample\.",
        lambda match: f"layers.{int(match[1]) + 1}.downsample.",
        name,
    )


def hf_swin_name(name, v2=False):
    """Returns transformers' name of a weight, given Microsoft's."""
    return rename(name, HF_V2_NAMES if v2 else HF_NAMES)


def hf_swin_arrays(arrays):
    """Renames arrays of transformers to the names in its published files."""
    renamed = rename_all(arrays, HF_RENAMED)
    if is_swin_v2(arrays):
        renamed = rename_all(renamed, [(r"^swin\.", "swinv2.")])
    return renamed


def _block(prefix, block):
    v2 = isinstance(block, layers.SwinV2Block)
    found = {
        **_norm(f"{prefix}.norm1", block.attention_norm),
        **(_cosine if v2 else _biased)(f"{prefix}.attn", block.attention),
        **_dense(f"{prefix}.attn.proj", block.attention.projection),
        **_norm(f"{prefix}.norm2", block.mlp_norm),
        **_dense(f"{prefix}.mlp.fc1", block.mlp_in),
        **_dense(f"{prefix}.mlp.fc2", block.mlp_out),
    }
    if v2 and block.use_extra_norm:
        found |= _norm(f"{prefix}.{EXTRA_NORM}", block.extra_norm)
    return found


def _biased(prefix, attention):
    window = (attention.window, attention.window)
    table = Entry(attention.table, grid=window, kind="window")
    return {
        f"{prefix}.relative_position_bias_table": table,
        **_dense(f"{prefix}.qkv", attention.query_key_value),
    }


def _cosine(prefix, attention):
    mlp_in, mlp_out = attention.position_in, attention.position_out
    return {
        f"{prefix}.logit_scale": Entry(attention.logit_scale, SCALE),
        **_dense(f"{prefix}.cpb_mlp.0", mlp_in),
        f"{prefix}.cpb_mlp.2.weight": Entry(mlp_out.kernel, DENSE),
        f"{prefix}.qkv.weight": Entry(attention.query_key_value.kernel, DENSE),
        f"{prefix}.q_bias": Entry(attention.query_bias),
        f"{prefix}.v_bias": Entry(attention.value_bias),
    }


def _dense(name, layer):
    return {
        f"{name}.weight": Entry(layer.kernel, DENSE),
        f"{name}.bias": Entry(layer.bias),
    }


def _norm(name, layer):
    return {
        f"{name}.weight": Entry(layer.gamma),
        f"{name}.bias": Entry(layer.beta),
    }
