from keras_mim.converters._assignment import assign
from keras_mim.converters._checkpoint import Checkpoint
from keras_mim.converters.layouts import layout_of
from keras_mim.converters.to_torch import as_arrays


def load_encoder(encoder, other):
    """Fills an encoder with the weights of one that was built for other images.

    For fine-tuning at another resolution. Fixed sine-cosine positions are
    computed anew, learned ones resized bicubically; tables of relative
    positions, of a ViT or of a Swin's windows, are resized by SimMIM's
    geometric rule (which needs scipy). A table that all blocks of `other` share
    also fills an encoder with one per block.

    Args:
        encoder: An encoder of `keras_mim.encoders`: to be filled.
        other: An encoder of the same class and sizes, but with other images,
            windows or drop path.

    Returns:
        `keras_mim.converters.Report`.

    Example:

    >>> config = {**encoder.get_config(), "image_shape": (384, 384, 3)}
    >>> larger = keras_mim.encoders.ViT.from_config(config)
    >>> keras_mim.converters.load_encoder(larger, encoder)
    """
    if type(encoder) is not type(other):
        raise ValueError(
            "`encoder` and `other` must be of one class. Received: "
            f"{type(encoder).__name__} and {type(other).__name__}"
        )
    # Those that have a place for every weight.
    layout = layout_of(encoder, "beit", "swin")
    checkpoint = Checkpoint("the other encoder", as_arrays(other, layout))
    return assign(
        encoder,
        layout.entries(encoder),
        layout.read(checkpoint, encoder),
        allow_missing=() if other.norm else ("norm",),
        grid=other.grid,
    )
