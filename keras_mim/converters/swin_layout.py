"""Where every weight of a Swin stands in the published checkpoints.

Names are first those of Microsoft's files, SimMIM's without their `encoder.`;
timm's and transformers' are derived from them.
"""

import re

from keras_mim.converters.entry import DENSE
from keras_mim.converters.entry import Entry
from keras_mim.converters.entry import patch_kernel
from keras_mim.converters.renaming import rename
from keras_mim.converters.renaming import rename_all
from keras_mim.converters.renaming import split_query_key_value

# Microsoft's files also hold what follows from the window size.
BUFFERS = ("relative_position_index", "attn_mask")

# Microsoft's name -> transformers', as in the files on its hub.
HF_NAMES = (
    (r"^patch_embed\.proj\.", "swin.embeddings.patch_embeddings.projection."),
    (r"^patch_embed\.norm\.", "swin.embeddings.norm."),
    (r"^layers\.", "swin.encoder.layers."),
    (r"^norm\.", "swin.layernorm."),
    (r"^encoder\.mask_token$", "swin.embeddings.mask_token"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.", ".attention.self."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)

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


def swin_entries(encoder):
    """Returns the weights of a Swin by Microsoft's names.

    Args:
        encoder: `keras_mim.encoders.Swin`.

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
    return found | _norm("norm", encoder.trunk.get_layer("norm"))


def timm_swin_entries(entries):
    """Returns entries by timm's names, given them by Microsoft's."""
    return {timm_swin_name(name): entry for name, entry in entries.items()}


def hf_swin_entries(entries):
    """Returns entries by transformers' names, given them by Microsoft's.

    Its files have three arrays for a fused projection.
    """
    return rename_all(split_query_key_value(entries), HF_NAMES)


def timm_swin_name(name):
    """Returns timm's name of a weight, given Microsoft's.

    timm merges patches at the start of a stage, not at the end.
    """
    return re.sub(
        r"^layers\.(\d+)\.downsample\.",
        lambda match: f"layers.{int(match[1]) + 1}.downsample.",
        name,
    )


def hf_swin_name(name):
    """Returns transformers' name of a weight, given Microsoft's."""
    return rename(name, HF_NAMES)


def hf_swin_arrays(arrays):
    """Renames arrays of transformers to the names in its published files."""
    return rename_all(arrays, HF_RENAMED)


def _block(prefix, block):
    attention = block.attention
    window = (attention.window, attention.window)
    table = Entry(attention.table, grid=window, kind="window")
    return {
        **_norm(f"{prefix}.norm1", block.attention_norm),
        f"{prefix}.attn.relative_position_bias_table": table,
        **_dense(f"{prefix}.attn.qkv", attention.query_key_value),
        **_dense(f"{prefix}.attn.proj", attention.projection),
        **_norm(f"{prefix}.norm2", block.mlp_norm),
        **_dense(f"{prefix}.mlp.fc1", block.mlp_in),
        **_dense(f"{prefix}.mlp.fc2", block.mlp_out),
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
