from keras_mim.converters.hub_swin_weights import check_swin_grids
from keras_mim.converters.hub_weights import fill_backbone
from keras_mim.encoders import Swin
from keras_mim.encoders import ViT
from keras_mim.ops import require

# Arguments of `ViT` that a `ViTBackbone` has no place for, and the values that
# it computes with. A `SwinTransformerBackbone` has one for all of `Swin`.
HELD = {
    "drop_path_rate": (0.0,),
    "layer_scale": (None,),
    "use_key_bias": (True,),
    "positions": ("sine_cosine", "learned"),
}


def to_keras_hub(encoder):
    """Returns an encoder as KerasHub's backbone, with equal outputs.

    For what KerasHub does with a backbone: its image classifiers, its presets
    (`backbone.save_to_preset`) and its uploads. Weights are copied; the dtype
    policy is kept, and the whole backbone is trainable. It takes pixels
    normalised as the encoder does.

    A fixed sine-cosine table becomes the start of KerasHub's learned one, so it
    moves in fine-tuning. KerasHub's ViT classifier takes the class token by
    default; with `pooling="gap"` its mean counts that token too.

    Args:
        encoder: `keras_mim.encoders.ViT`, without drop path, `LayerScale` and
            relative positions, which KerasHub has no place for. To leave drop
            path out, which does nothing at inference, build the encoder
            without it and hand the weights over with
            `set_weights(encoder.get_weights())`. Or `keras_mim.encoders.Swin`,
            for an image in which every merged map has even sides, no window is
            larger than its map, and shifted windows divide theirs: elsewhere
            KerasHub's fails, or computes something else.

    Returns:
        `keras_hub.models.ViTBackbone` or
        `keras_hub.models.SwinTransformerBackbone`.

    Example:

    >>> backbone = keras_mim.converters.to_keras_hub(mae.encoder)
    >>> classifier = keras_hub.models.ViTImageClassifier(
    ...     backbone=backbone, num_classes=10
    ... )
    """
    keras_hub = require("keras_hub", "hub")
    if isinstance(encoder, Swin):
        backbone = _swin_backbone(encoder, keras_hub.models)
    elif isinstance(encoder, ViT):
        backbone = _vit_backbone(encoder, keras_hub.models)
    else:
        raise ValueError(
            "`encoder` must be a keras_mim.encoders.ViT or Swin; of a masked "
            "image model pass `model.encoder`. "
            f"Received: encoder of class {type(encoder).__name__}"
        )
    fill_backbone(encoder, backbone)
    return backbone


def _vit_backbone(encoder, models):
    for name, held in HELD.items():
        value = getattr(encoder, name)
        if value not in held:
            raise ValueError(
                "KerasHub's ViTBackbone can only hold an encoder with "
                f"{name}={' or '.join(map(repr, held))}. "
                f"Received: an encoder with {name}={value!r}"
            )
    return models.ViTBackbone(
        image_shape=encoder.image_shape,
        patch_size=encoder.patch_size,
        num_layers=encoder.num_layers,
        num_heads=encoder.num_heads,
        hidden_dim=encoder.hidden_dim,
        mlp_dim=encoder.mlp_dim,
        layer_norm_epsilon=1e-6,
        use_class_token=encoder.use_class_token,
        data_format="channels_last",
        dtype=encoder.dtype_policy,
    )


def _swin_backbone(encoder, models):
    check_swin_grids(encoder)
    return models.SwinTransformerBackbone(
        image_shape=encoder.image_shape,
        patch_size=encoder.patch_size,
        embed_dim=encoder.hidden_dim,
        depths=encoder.depths,
        num_heads=encoder.num_heads,
        window_size=encoder.window_size,
        mlp_ratio=encoder.mlp_ratio,
        drop_path=encoder.drop_path_rate,
        data_format="channels_last",
        dtype=encoder.dtype_policy,
    )
