"""Where every weight of an encoder stands in KerasHub's backbone.

Both hold the same numbers in the same order, in arrays of other shapes. One
place of a `ViT` differs: KerasHub's `ViTBackbone` has three projections for our
fused query-key-value.
"""

import keras
import numpy as np

from keras_mim.converters.hub_swin_weights import swin_pairs
from keras_mim.encoders import Swin


def fill_backbone(encoder, backbone):
    """Copies an encoder's weights into a backbone of its sizes."""
    pairs = _pairs(encoder, backbone)
    _check_complete(encoder, [variable for variable, _ in pairs])
    for variable, hub_variables in pairs:
        value = keras.ops.convert_to_numpy(variable)
        parts = np.split(value, len(hub_variables), axis=-1)
        for hub_variable, part in zip(hub_variables, parts):
            hub_variable.assign(part.reshape(hub_variable.shape))


def fill_encoder(backbone, encoder):
    """Copies a backbone's weights into an encoder of its sizes."""
    pairs = _pairs(encoder, backbone)
    _check_complete(backbone, [v for _, several in pairs for v in several])
    for variable, hub_variables in pairs:
        parts = [
            keras.ops.convert_to_numpy(hub_variable).reshape(
                *variable.shape[:-1], variable.shape[-1] // len(hub_variables)
            )
            for hub_variable in hub_variables
        ]
        variable.assign(np.concatenate(parts, axis=-1))


def _check_complete(model, copied):
    # By identity: where a layer is quantized or has LoRA, what it calls its
    # kernel is computed from other weights.
    known = {id(variable) for variable in copied}
    others = [w.path for w in model.weights if id(w) not in known]
    if others:
        raise ValueError(
            f"The other model has no place for {len(others)} weights of this "
            f"{type(model).__name__}, the first being {others[0]!r}. Convert "
            "before quantizing; LoRA is merged by saving the model and "
            "loading it again"
        )


def _pairs(encoder, backbone):
    """Returns `(variable, KerasHub's variables)` for every weight."""
    if isinstance(encoder, Swin):
        return swin_pairs(encoder, backbone)
    embedding = backbone.get_layer("vit_patching_and_embedding")
    hub_trunk = backbone.get_layer("vit_encoder")
    positions = encoder.position_embedding.layers[-1]
    pairs = [(positions.table, [embedding.position_embedding.embeddings])]
    if encoder.use_class_token:
        class_token = encoder.position_embedding.layers[0]
        pairs.append((class_token.token, [embedding.class_token]))
    pairs += _dense(
        encoder.patch_embedding.projection, embedding.patch_embedding
    )
    for block, hub_block in zip(encoder.blocks, hub_trunk.encoder_layers):
        attention, mha = block.attention, hub_block.mha
        pairs += [
            *_norm(block.attention_norm, hub_block.layer_norm_1),
            *_dense(
                attention.query_key_value,
                mha.query_dense,
                mha.key_dense,
                mha.value_dense,
            ),
            *_dense(attention.projection, mha.output_dense),
            *_norm(block.mlp_norm, hub_block.layer_norm_2),
            *_dense(block.mlp_in, hub_block.mlp.dense_1),
            *_dense(block.mlp_out, hub_block.mlp.dense_2),
        ]
    norm = encoder.trunk.get_layer("norm")
    return pairs + _norm(norm, hub_trunk.layer_norm)


def _dense(layer, *hub_layers):
    return [
        (layer.kernel, [hub_layer.kernel for hub_layer in hub_layers]),
        (layer.bias, [hub_layer.bias for hub_layer in hub_layers]),
    ]


def _norm(layer, hub_layer):
    return [(layer.gamma, [hub_layer.gamma]), (layer.beta, [hub_layer.beta])]
