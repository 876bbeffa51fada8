from keras_mim._requirements import require
from keras_mim.converters.layouts import KERAS_HUB_LAYOUTS


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
    for layout in KERAS_HUB_LAYOUTS:
        if isinstance(backbone, getattr(models, layout.backbone_class)):
            return layout.to_encoder(backbone)
    raise ValueError(
        "`backbone` must be a keras_hub.models.ViTBackbone or "
        "SwinTransformerBackbone, the only ones that keras_mim has an "
        "encoder for; of a classifier pass `classifier.backbone`. "
        f"Received: backbone of class {type(backbone).__name__}"
    )
