from keras_mim.converters.hub_weights import fill_encoder
from keras_mim.encoders import ViT
from keras_mim.ops import require

# The arguments of a `ViTBackbone` that `ViT` has no place for, and the values
# that it computes with. The epsilon is checked although KerasHub's blocks
# ignore it: its last layer norm does not.
REQUIRED = {
    "dropout_rate": 0.0,
    "attention_dropout": 0.0,
    "layer_norm_epsilon": 1e-6,
    "use_mha_bias": True,
    "use_mlp_bias": True,
    "use_patch_bias": True,
    "data_format": "channels_last",
}


def from_keras_hub(backbone):
    """Returns KerasHub's `ViTBackbone` as an encoder, with equal outputs.

    To pre-train further with a masked image model, from a preset for example.
    Weights are copied; the dtype policy is kept, and the whole encoder is
    trainable. Positions are learned ones, so an encoder with a sine-cosine
    table that went through `to_keras_hub` comes back with the same values and
    `positions="learned"`; all else comes back as it was.

    KerasHub normalises pixels in its preprocessor, not in the backbone: feed
    the encoder what that makes.

    Args:
        backbone: `keras_hub.models.ViTBackbone` with square patches, without
            dropout and with all its biases, as the presets have it.

    Returns:
        `keras_mim.encoders.ViT`.

    Example:

    >>> backbone = keras_hub.models.ViTBackbone.from_preset(
    ...     "vit_base_patch16_224_imagenet21k"
    ... )
    >>> mae = keras_mim.MAE(keras_mim.converters.from_keras_hub(backbone))
    """
    keras_hub = require("keras_hub", "hub")
    if not isinstance(backbone, keras_hub.models.ViTBackbone):
        raise ValueError(
            "`backbone` must be a keras_hub.models.ViTBackbone, the only one "
            "that keras_mim has an encoder for; of a classifier pass "
            "`classifier.backbone`. "
            f"Received: backbone of class {type(backbone).__name__}"
        )
    for name, required in REQUIRED.items():
        value = getattr(backbone, name)
        if value != required:
            raise ValueError(
                "keras_mim's ViT can only hold a backbone with "
                f"{name}={required!r}. Received: a backbone with "
                f"{name}={value!r}"
            )
    height, width = backbone.patch_size
    if height != width:
        raise ValueError(
            "keras_mim's ViT can only hold a backbone with square patches. "
            f"Received: a backbone with patch_size={(height, width)}"
        )
    encoder = ViT(
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
    fill_encoder(backbone, encoder)
    return encoder
