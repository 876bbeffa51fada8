"""Where every weight of a model stands in the published checkpoints.

Names are first those of MAE's files, which timm shares; transformers' are
derived from them. SimMIM's own are those of its files, `encoder.mask_token`
and `decoder.0`.
"""

import dataclasses
import re

from keras_mim import layers
from keras_mim.converters.entry import DENSE
from keras_mim.converters.entry import SAME
from keras_mim.converters.entry import Entry
from keras_mim.converters.entry import patch_kernel
from keras_mim.converters.entry import shuffled_bias
from keras_mim.converters.entry import shuffled_kernel
from keras_mim.models import MAE
from keras_mim.models import SimMIM

LAYOUTS = ("mae", "timm", "hf")

# MAE's name -> transformers', as in the files on its hub.
HF_NAMES = (
    (r"^blocks\.", "vit.encoder.layer."),
    (r"^decoder_blocks\.", "decoder.decoder_layers."),
    (r"^cls_token$", "vit.embeddings.cls_token"),
    (r"^pos_embed$", "vit.embeddings.position_embeddings"),
    (r"^patch_embed\.proj\.", "vit.embeddings.patch_embeddings.projection."),
    (r"^norm\.", "vit.layernorm."),
    (r"^(mask_token|decoder_.*)$", r"decoder.\1"),
    (r"^encoder\.mask_token$", "vit.embeddings.mask_token"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)


def hf_name(name):
    """Returns transformers' name of a weight, given MAE's."""
    for pattern, replacement in HF_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def entries(model, layout):
    """Returns the weights of a model by their names in a layout.

    Args:
        model: `keras_mim.encoders.ViT`, `keras_mim.MAE` or
            `keras_mim.SimMIM`.
        layout: str. `"mae"`, `"timm"` or `"hf"` (transformers).

    Returns:
        Dict of str to `Entry`.
    """
    if layout not in LAYOUTS:
        raise ValueError(
            f"`layout` must be one of {list(LAYOUTS)}. "
            f"Received: layout={layout!r}"
        )
    if isinstance(model, MAE):
        found = {**_encoder(model.encoder), **_mae_head(model.head)}
    elif isinstance(model, SimMIM):
        found = {**_encoder(model.encoder), **_simmim_head(model)}
    else:
        found = _encoder(model)
    if layout != "hf":
        return found
    renamed = {}
    for name, entry in found.items():
        fused = re.search(r"\.attn\.qkv\.", name)
        if fused:
            for i, part in enumerate(("query", "key", "value")):
                unfused = f".attention.attention.{part}."
                new = name.replace(".attn.qkv.", unfused)
                renamed[hf_name(new)] = dataclasses.replace(entry, part=i)
        else:
            renamed[hf_name(name)] = entry
    return renamed


def _encoder(encoder):
    positions = encoder.position_embedding.layers[-1]
    found = {}
    if encoder.use_class_token:
        token = encoder.position_embedding.layers[0].token
        found["cls_token"] = Entry(token)
    found["pos_embed"] = _positions(positions)
    patches = encoder.patch_embedding.projection
    kernel = patch_kernel(encoder.patch_size)
    found |= _layer("patch_embed.proj", patches, kernel)
    for i, block in enumerate(encoder.blocks):
        found |= _block(f"blocks.{i}", block)
    return found | _layer("norm", encoder.trunk.get_layer("norm"))


def _mae_head(head):
    if not isinstance(head, layers.MAEHead):
        raise ValueError(
            "Checkpoints of MAE hold the weights of `MAEHead`. Received: "
            f"head={head}"
        )
    found = {
        "mask_token": Entry(head.restore_tokens.token),
        "decoder_pos_embed": _positions(head.position_embedding),
        **_layer("decoder_embed", head.embedding, DENSE),
    }
    for i, block in enumerate(head.blocks):
        found |= _block(f"decoder_blocks.{i}", block)
    found |= _layer("decoder_norm", head.norm)
    return found | _layer("decoder_pred", head.prediction, DENSE)


def _simmim_head(model):
    if not isinstance(model.head, layers.SimMIMHead):
        raise ValueError(
            "Checkpoints of SimMIM hold the weights of `SimMIMHead`. "
            f"Received: head={model.head}"
        )
    size = model.encoder.patch_size
    prediction = model.head.prediction
    return {
        "encoder.mask_token": Entry(model.mask_token.token),
        "decoder.0.weight": Entry(prediction.kernel, shuffled_kernel(size)),
        "decoder.0.bias": Entry(prediction.bias, shuffled_bias(size)),
    }


def _block(prefix, block):
    found = {
        **_layer(f"{prefix}.norm1", block.attention_norm),
        **_layer(f"{prefix}.attn.qkv", block.attention.query_key_value, DENSE),
        **_layer(f"{prefix}.attn.proj", block.attention.projection, DENSE),
        **_layer(f"{prefix}.norm2", block.mlp_norm),
        **_layer(f"{prefix}.mlp.fc1", block.mlp_in, DENSE),
        **_layer(f"{prefix}.mlp.fc2", block.mlp_out, DENSE),
    }
    ends = (block.attention_branch_end, block.mlp_branch_end)
    for i, end in enumerate(ends, 1):
        for layer in end:
            if isinstance(layer, layers.LayerScale):
                found[f"{prefix}.ls{i}.gamma"] = Entry(layer.gamma)
    return found


def _layer(name, layer, form=SAME):
    weight = layer.gamma if form is SAME else layer.kernel
    bias = layer.beta if form is SAME else layer.bias
    return {f"{name}.weight": Entry(weight, form), f"{name}.bias": Entry(bias)}


def _positions(layer):
    return Entry(
        layer.table, grid=layer.grid, fixed=layer.kind == "sine_cosine"
    )
