from keras_mim.converters.checkpoint import Checkpoint
from keras_mim.converters.fill import fill
from keras_mim.converters.load import beit_arrays
from keras_mim.converters.to_torch import as_arrays
from keras_mim.encoders import ViT


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
    vit = isinstance(other, ViT)
    layout = "beit" if vit else "swin"
    arrays = as_arrays(other, layout)
    checkpoint = Checkpoint("the other encoder", arrays)
    if vit:
        arrays = beit_arrays(arrays, encoder)
    missing = ("norm",) if vit and not other.use_final_norm else ()
    return fill(encoder, checkpoint, arrays, layout, missing, other.grid)
