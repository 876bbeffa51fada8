"""Where every weight of an encoder stands in KerasHub's backbone.

Both hold the same numbers in the same order, in arrays of other shapes.
"""

import abc

import keras
import numpy as np

from keras_mim.encoders import ViT

# Arguments of `ViT` that a `ViTBackbone` has no place for, the values that it
# computes with, and what to do about others.
HELD = {
    "drop_path_rate": (
        (0.0,),
        "Drop path does nothing at inference: pass "
        "`encoder.copy(drop_path_rate=0.0)`. ",
    ),
    "layer_scale": ((None,), ""),
    "use_key_bias": ((True,), ""),
    "positions": (("sine_cosine", "learned"), ""),
    "use_final_norm": (
        (True,),
        "It always ends in a norm: pass the encoder as it was pre-trained, "
        "`mae.encoder`, or that of a Classifier with pooling='cls'. ",
    ),
}


class KerasHubLayout(abc.ABC):
    """How a backbone of KerasHub stores an encoder.

    Attributes:
        encoder_class: class of the encoder.
        backbone_class: str. Name of the backbone's, in `keras_hub.models`.
        arguments: dict of str to str. The encoder's arguments -> those of the
            backbone.
        required: dict. The backbone's other arguments, and the values that the
            encoder computes with.
    """

    encoder_class = None
    backbone_class = None
    arguments = {}
    required = {}

    @abc.abstractmethod
    def check_encoder(self, encoder):
        """Raises a `ValueError` where the backbone computes otherwise."""

    def encoder_arguments(self, backbone):
        """Returns those that are not the backbone's as they stand there."""
        return {}

    @abc.abstractmethod
    def pairs(self, encoder, backbone):
        """Returns `(variable, KerasHub's variables)` for every weight.

        Of a fused projection, KerasHub may have three.
        """

    def to_backbone(self, encoder, models):
        """Returns an encoder as a backbone, one of `keras_hub.models`."""
        self.check_encoder(encoder)
        backbone = getattr(models, self.backbone_class)(
            **{hub: getattr(encoder, x) for x, hub in self.arguments.items()},
            **self.required,
            dtype=encoder.dtype_policy,
        )
        pairs = self.pairs(encoder, backbone)
        _check_complete(
            encoder, [*(own for own, _ in pairs), *_merged_weights(encoder)]
        )
        for variable, hub_variables in pairs:
            value = keras.ops.convert_to_numpy(variable)
            parts = np.split(value, len(hub_variables), axis=-1)
            for hub_variable, part in zip(hub_variables, parts):
                hub_variable.assign(part.reshape(hub_variable.shape))
        return backbone

    def to_encoder(self, backbone):
        """Returns a backbone as an encoder."""
        name = self.encoder_class.__name__
        for argument, required in self.required.items():
            value = getattr(backbone, argument)
            if value != required:
                raise ValueError(
                    f"keras_mim's {name} can only hold a backbone with "
                    f"{argument}={required!r}. Received: a backbone with "
                    f"{argument}={value!r}"
                )
        arguments = {
            x: getattr(backbone, hub) for x, hub in self.arguments.items()
        }
        arguments |= self.encoder_arguments(backbone)
        encoder = self.encoder_class(**arguments, dtype=backbone.dtype_policy)
        self.check_encoder(encoder)
        pairs = self.pairs(encoder, backbone)
        _check_complete(backbone, [v for _, several in pairs for v in several])
        for variable, hub_variables in pairs:
            width = variable.shape[-1] // len(hub_variables)
            shape = (*variable.shape[:-1], width)
            parts = [
                keras.ops.convert_to_numpy(hub_variable).reshape(shape)
                for hub_variable in hub_variables
            ]
            variable.assign(np.concatenate(parts, axis=-1))
        return encoder


class KerasHubViT(KerasHubLayout):
    """`ViT` and `ViTBackbone`, which has no fused query-key-value."""

    encoder_class = ViT
    backbone_class = "ViTBackbone"
    arguments = {
        name: name
        for name in (
            "image_shape",
            "patch_size",
            "hidden_dim",
            "num_layers",
            "num_heads",
            "mlp_dim",
            "use_class_token",
        )
    }
    # The epsilon counts although KerasHub's blocks ignore it: its last layer
    # norm does not.
    required = {
        "dropout_rate": 0.0,
        "attention_dropout": 0.0,
        "layer_norm_epsilon": 1e-6,
        "use_mha_bias": True,
        "use_mlp_bias": True,
        "use_patch_bias": True,
        "data_format": "channels_last",
    }

    def check_encoder(self, encoder):
        for name, (held, advice) in HELD.items():
            value = getattr(encoder, name)
            if value not in held:
                raise ValueError(
                    "KerasHub's ViTBackbone can only hold an encoder with "
                    f"{name}={' or '.join(map(repr, held))}. {advice}"
                    f"Received: an encoder with {name}={value!r}"
                )

    def encoder_arguments(self, backbone):
        height, width = backbone.patch_size
        if height != width:
            raise ValueError(
                "keras_mim's ViT can only hold a backbone with square patches. "
                f"Received: a backbone with patch_size={(height, width)}"
            )
        return {"patch_size": height, "positions": "learned"}

    def pairs(self, encoder, backbone):
        embedding = backbone.get_layer("vit_patching_and_embedding")
        hub_trunk = backbone.get_layer("vit_encoder")
        table = encoder.position_embedding.layers[-1].table
        patches = encoder.patch_embedding.projection
        pairs = [
            (table, [embedding.position_embedding.embeddings]),
            *dense_pairs(patches, embedding.patch_embedding),
            *norm_pairs(encoder.norm, hub_trunk.layer_norm),
        ]
        if encoder.use_class_token:
            class_token = encoder.position_embedding.layers[0]
            pairs.append((class_token.token, [embedding.class_token]))
        for block, hub_block in zip(encoder.blocks, hub_trunk.encoder_layers):
            attention, mha = block.attention, hub_block.mha
            thirds = mha.query_dense, mha.key_dense, mha.value_dense
            pairs += [
                *norm_pairs(block.attention_norm, hub_block.layer_norm_1),
                *dense_pairs(attention.query_key_value, *thirds),
                *dense_pairs(attention.projection, mha.output_dense),
                *norm_pairs(block.mlp_norm, hub_block.layer_norm_2),
                *dense_pairs(block.mlp_in, hub_block.mlp.dense_1),
                *dense_pairs(block.mlp_out, hub_block.mlp.dense_2),
            ]
        return pairs


def dense_pairs(layer, *hub_layers):
    return [
        (layer.kernel, [hub_layer.kernel for hub_layer in hub_layers]),
        (layer.bias, [hub_layer.bias for hub_layer in hub_layers]),
    ]


def norm_pairs(layer, hub_layer):
    return [(layer.gamma, [hub_layer.gamma]), (layer.beta, [hub_layer.beta])]


def _merged_weights(model):
    """Returns the weights that kernels with LoRA are computed from."""
    return [
        weight
        for layer in model._flatten_layers()
        if getattr(layer, "lora_enabled", False)
        and layer.quantization_mode is None
        for weight in layer.weights
        if weight is not layer.bias
    ]


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
