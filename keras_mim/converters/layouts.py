"""Where every weight of a model stands in the published checkpoints.

Names are first those of MAE's files, which timm shares; the others are derived
from them. What SimMIM adds goes by its own names, `encoder.mask_token` and
`decoder.0`.
"""

import re

from keras_mim import layers
from keras_mim.converters.entry import DENSE
from keras_mim.converters.entry import SAME
from keras_mim.converters.entry import Entry
from keras_mim.converters.entry import patch_kernel
from keras_mim.converters.entry import shuffled_bias
from keras_mim.converters.entry import shuffled_kernel
from keras_mim.converters.renaming import rename
from keras_mim.converters.renaming import rename_all
from keras_mim.converters.renaming import split_query_key_value
from keras_mim.converters.swin_layout import hf_swin_entries
from keras_mim.converters.swin_layout import swin_entries
from keras_mim.converters.swin_layout import timm_swin_entries
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2
from keras_mim.encoders import ViT
from keras_mim.models import MAE
from keras_mim.models import MaskedImageModel
from keras_mim.models import SimMIM
from keras_mim.transfer import Classifier

LAYOUTS = {
    ViT: ("mae", "timm", "hf", "beit", "simmim"),
    Swin: ("swin", "timm", "hf", "simmim"),
    SwinV2: ("swin", "timm", "hf", "simmim"),
}

# MAE's name -> transformers', as in the files on its hub.
HF_NAMES = (
    (r"^blocks\.", "vit.encoder.layer."),
    (r"^decoder_blocks\.", "decoder.decoder_layers."),
    (r"^cls_token$", "vit.embeddings.cls_token"),
    (r"^pos_embed$", "vit.embeddings.position_embeddings"),
    (r"^patch_embed\.proj\.", "vit.embeddings.patch_embeddings.projection."),
    (r"^norm\.", "vit.layernorm."),
    (r"^head\.", "classifier."),
    (r"^(mask_token|decoder_.*)$", r"decoder.\1"),
    (r"^encoder\.mask_token$", "vit.embeddings.mask_token"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.(query|key|value)\.", r".attention.attention.\1."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)


def encoder_of(model):
    """Returns the encoder in a model, or the encoder that it is."""
    has_one = isinstance(model, (MaskedImageModel, Classifier))
    encoder = model.encoder if has_one else model
    if not isinstance(encoder, tuple(LAYOUTS)):
        raise ValueError(
            "Checkpoints are known of `keras_mim.encoders.ViT`, `Swin` and "
            f"`SwinV2`. Received: {encoder}"
        )
    return encoder


def hf_name(name):
    """Returns transformers' name of a weight, given MAE's."""
    return rename(name, HF_NAMES)


def entries(model, layout):
    """Returns the weights of a model by their names in a layout.

    Args:
        model: An encoder of `keras_mim.encoders`, `keras_mim.MAE`,
            `keras_mim.SimMIM` or `keras_mim.transfer.Classifier`.
        layout: str. Of a ViT `"mae"`, `"timm"`, `"hf"` (transformers),
            `"beit"` or `"simmim"`: BEiT's names behind an `encoder.`. Of a
            Swin, v1 or v2, `"swin"` (Microsoft's), `"timm"`, `"hf"` or
            `"simmim"`.

    Returns:
        Dict of str to `Entry`.
    """
    encoder = encoder_of(model)
    swin = isinstance(encoder, (Swin, SwinV2))
    known = next(v for k, v in LAYOUTS.items() if isinstance(encoder, k))
    if layout not in known:
        raise ValueError(
            f"`layout` of a {type(encoder).__name__} must be one of "
            f"{known}. Received: layout={layout!r}"
        )
    found = swin_entries(encoder) if swin else _encoder(encoder)
    if isinstance(model, MAE):
        found |= _mae_head(model.head)
    elif isinstance(model, SimMIM):
        found |= _simmim_head(model)
    elif isinstance(model, Classifier):
        found |= _layer("head", model.head, DENSE)
        if model.norm is not None:
            found |= _layer("fc_norm", model.norm)
    if swin and layout == "timm":
        return timm_swin_entries(found)
    if swin and layout == "hf":
        return hf_swin_entries(found)
    if layout in ("beit", "simmim"):
        scale = re.compile(r"\.ls(\d)\.gamma$")
        found = {scale.sub(r".gamma_\1", k): v for k, v in found.items()}
    if layout == "simmim":
        bare = re.compile(r"^(?!encoder\.|decoder\.)")
        return {bare.sub("encoder.", k): v for k, v in found.items()}
    if layout != "hf":  # MAE's, timm's and Microsoft's are as they are.
        return found
    return rename_all(split_query_key_value(found), HF_NAMES)


def _encoder(encoder):
    found = {}
    if encoder.use_class_token:
        token = encoder.position_embedding.layers[0].token
        found["cls_token"] = Entry(token)
    if encoder.position_biases:
        found |= _position_biases(encoder)
    else:
        found["pos_embed"] = _positions(encoder.position_embedding.layers[-1])
    patches = encoder.patch_embedding.projection
    kernel = patch_kernel(encoder.patch_size)
    found |= _layer("patch_embed.proj", patches, kernel)
    for i, block in enumerate(encoder.blocks):
        found |= _block(f"blocks.{i}", block)
    if encoder.norm is None:
        return found
    return found | _layer("norm", encoder.norm)


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
    head = model.head
    if not isinstance(head, layers.SimMIMHead) or head.prediction_side != 1:
        raise ValueError(
            "Checkpoints of SimMIM hold the weights of `SimMIMHead`, with a "
            f"prediction for each patch. Received: head={head}"
        )
    cut = model.encoder.patch_size, model.head.patches_per_side
    prediction = model.head.prediction
    return {
        "encoder.mask_token": Entry(model.mask_token.token),
        "decoder.0.weight": Entry(prediction.kernel, shuffled_kernel(*cut)),
        "decoder.0.bias": Entry(prediction.bias, shuffled_bias(*cut)),
    }


def _block(prefix, block):
    found = {
        **_layer(f"{prefix}.norm1", block.attention_norm),
        **_query_key_value(f"{prefix}.attn", block.attention),
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


def _query_key_value(prefix, attention):
    dense = attention.query_key_value
    if attention.use_key_bias:
        return _layer(f"{prefix}.qkv", dense, DENSE)
    return {
        f"{prefix}.qkv.weight": Entry(dense.kernel, DENSE),
        f"{prefix}.q_bias": Entry(attention.query_bias),
        f"{prefix}.v_bias": Entry(attention.value_bias),
    }


def _position_biases(encoder):
    table = "relative_position_bias_table"
    if encoder.positions == "shared_relative":
        names = [f"rel_pos_bias.{table}"]
    else:
        names = [f"blocks.{i}.attn.{table}" for i in range(encoder.num_layers)]
    return {
        name: Entry(layer.table, grid=layer.grid, kind="relative")
        for name, layer in zip(names, encoder.position_biases, strict=True)
    }


def _layer(name, layer, form=SAME):
    weight = layer.gamma if form is SAME else layer.kernel
    bias = layer.beta if form is SAME else layer.bias
    return {f"{name}.weight": Entry(weight, form), f"{name}.bias": Entry(bias)}


def _positions(layer):
    return Entry(layer.table, grid=layer.grid, kind=layer.kind)
