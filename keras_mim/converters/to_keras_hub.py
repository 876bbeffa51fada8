from keras_mim._requirements import require
from keras_mim.converters.layouts import KERAS_HUB_LAYOUTS


def to_keras_hub(encoder):
    """Returns an encoder as KerasHub's backbone, with equal outputs.

    For what KerasHub does with a backbone: its image classifiers, its presets
    (`backbone.save_to_preset`) and its uploads. Weights are copied, LoRA
    merged; the dtype policy is kept, and the whole backbone is trainable. It
    takes pixels normalized as the encoder does.

    A fixed sine-cosine table becomes the start of KerasHub's learned one, so it
    moves in fine-tuning. KerasHub's ViT classifier takes the class token by
    default; with `pooling="gap"` its mean counts that token too.

    KerasHub's ViT has no drop path, `LayerScale`, relative positions or keys
    without bias, and always ends in a norm. So an encoder must have

    - `drop_path_rate=0.0`; drop path does nothing at inference, so pass
      `encoder.copy(drop_path_rate=0.0)` of one that has it;
    - `layer_scale=None`, `use_key_bias=True`, and `positions` that are
      `"sine_cosine"` or `"learned"`;
    - `use_final_norm=True`: `mae.encoder` has it, and so has the encoder of a
      `keras_mim.transfer.Classifier` with `pooling="cls"`, but not with
      `pooling="mean"`.

    KerasHub's Swin has a place for all of `Swin`. But its outputs are the same
    only for an image in which every merged map has even sides, no window is
    larger than its map, and shifted windows divide theirs.

    Args:
        encoder: `keras_mim.encoders.ViT` or `keras_mim.encoders.Swin`, as said
            above.

    Returns:
        `keras_hub.models.ViTBackbone` or
        `keras_hub.models.SwinTransformerBackbone`.

    Raises:
        ValueError: If KerasHub has no place for a part of the encoder, or
            computes otherwise.

    Example:

    >>> backbone = keras_mim.converters.to_keras_hub(mae.encoder)
    >>> classifier = keras_hub.models.ViTImageClassifier(
    ...     backbone=backbone, num_classes=10
    ... )
    """
    keras_hub = require("keras_hub", "hub")
    for layout in KERAS_HUB_LAYOUTS:
        if isinstance(encoder, layout.encoder_class):
            return layout.to_backbone(encoder, keras_hub.models)
    raise ValueError(
        "`encoder` must be a keras_mim.encoders.ViT or Swin; of a masked "
        "image model, classifier or probe pass `model.encoder`. "
        f"Received: encoder of class {type(encoder).__name__}"
    )
