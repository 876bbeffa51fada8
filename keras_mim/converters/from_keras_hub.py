from keras_mim.converters.hub_swin_weights import check_swin_grids
from keras_mim.converters.hub_weights import fill_encoder
from keras_mim.encoders import Swin
from keras_mim.encoders import ViT
from keras_mim.ops import require

# The arguments of a backbone that the encoder has no place for, and the values
# that it computes with. The epsilon is checked although KerasHub's blocks
# ignore it: its last layer norm does not.
REQUIRED = {
    ViT: {
        "dropout_rate": 0.0,
        "attention_dropout": 0.0,
        "layer_norm_epsilon": 1e-6,
        "use_mha_bias": True,
        "use_mlp_bias": True,
        "use_patch_bias": True,
        "data_format": "channels_last",
    },
    Swin: {
        "dropout_rate": 0.0,
        "attention_dropout": 0.0,
        "qkv_bias": True,
        "patch_norm": True,
        "data_format": "channels_last",
    },
}


def from_keras_hub(backbone):
    """Returns KerasHub's ViT or Swin as an encoder, with equal outputs.

    To pre-train further with a masked image model, from a preset for example.
    Weights are copied; the dtype policy is kept, and the whole encoder is
    trainable. A ViT's positions are learned ones, so an encoder with a
    sine-cosine table that went through `to_keras_hub` comes back with the same
    values and `positions="learned"`; all else comes back as it was.

    KerasHub normalises pixels in its preprocessor, not in the backbone: feed
    the encoder what that makes.

    Args:
        backbone: `keras_hub.models.ViTBackbone` with square patches, without
            dropout and with all its biases, as the presets have it. Or
            `keras_hub.models.SwinTransformerBackbone`, likewise without
            dropout and with all biases, with the layer norm after its patches,
            and for an image that windows and merging divide: see
            `to_keras_hub`. Its drop path is kept, and is 0.1 by default.

    Returns:
        `keras_mim.encoders.ViT` or `keras_mim.encoders.Swin`.

    Example:

    >>> backbone = keras_hub.models.ViTBackbone.from_preset(
    ...     "vit_base_patch16_224_imagenet21k"
    ... )
    >>> mae = keras_mim.MAE(keras_mim.converters.from_keras_hub(backbone))
    """
    models = require("keras_hub", "hub").models
    if isinstance(backbone, models.ViTBackbone):
        encoder = _vit(backbone)
    elif isinstance(backbone, models.SwinTransformerBackbone):
        encoder = _swin(backbone)
    else:
        raise ValueError(
            "`backbone` must be a keras_hub.models.ViTBackbone or "
            "SwinTransformerBackbone, the only ones that keras_mim has an "
            "encoder for; of a classifier pass `classifier.backbone`. "
            f"Received: backbone of class {type(backbone).__name__}"
        )
    fill_encoder(backbone, encoder)
    return encoder


def _check_required(backbone, encoder_class):
    for name, required in REQUIRED[encoder_class].items():
        value = getattr(backbone, name)
        if value != required:
            raise ValueError(
                f"keras_mim's {encoder_class.__name__} can only hold a "
                f"backbone with {name}={required!r}. Received: a backbone "
                f"with {name}={value!r}"
            )


def _vit(backbone):
    _check_required(backbone, ViT)
    height, width = backbone.patch_size
    if height != width:
        raise ValueError(
            "keras_mim's ViT can only hold a backbone with square patches. "
            f"Received: a backbone with patch_size={(height, width)}"
        )
    return ViT(
        image_shape=backbone.image_shape,
        patch_size=height,
        hidden_dim=backbone.hidden_dim,
        num_layers=backbone.num_layers,
        num_heads=backbone.num_heads,
        mlp_dim=backbone.mlp_dim,
        use_class_token=backbone.use_class_token,
        positions="learned",
        dtype=backbone.dtype_policy,
    )


def _swin(backbone):
    _check_required(backbone, Swin)
    encoder = Swin(
        image_shape=backbone.image_shape,
        patch_size=backbone.patch_size,
        hidden_dim=backbone.embed_dim,
        depths=backbone.depths,
        num_heads=backbone.num_heads,
        window_size=backbone.window_size,
        mlp_ratio=backbone.mlp_ratio,
        drop_path_rate=backbone.drop_path,
        dtype=backbone.dtype_policy,
    )
    check_swin_grids(encoder)
    return encoder
