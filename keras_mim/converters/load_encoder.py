from keras_mim._checks import check_kind
from keras_mim.converters.report import Report
from keras_mim.encoders import Encoder
from keras_mim.transfer._pooling import check_encoder


def load_encoder(encoder, other):
    """Fills an encoder with the weights of one that was built for other images.

    For fine-tuning at another resolution; `other.copy(image_shape=...)` builds
    and fills the encoder in one call. Fixed sine-cosine positions are computed
    anew, learned ones resized bicubically; tables of relative positions, of a
    ViT or of a Swin's windows, are resized by SimMIM's geometric rule (which
    needs scipy). A table that all blocks of `other` share also fills an
    encoder with one per block.

    Args:
        encoder: `keras_mim.encoders.Encoder` to be filled.
        other: `keras_mim.encoders.Encoder` of the same class and sizes, but
            with other images, windows or drop path.

    Returns:
        `keras_mim.converters.Report`, which names weights by their paths.

    Raises:
        ValueError: If the weights do not fit; nothing is changed then.

    Example:

    >>> config = {**encoder.get_config(), "image_shape": (384, 384, 3)}
    >>> larger = keras_mim.encoders.ViT.from_config(config)
    >>> keras_mim.converters.load_encoder(larger, encoder)
    """
    check_encoder(encoder)
    check_kind(Encoder, other=other)
    encoder.load_weights_of(other)
    tables = zip(encoder.position_layers(), other.position_layers())
    return Report(
        "the other encoder",
        loaded=tuple(weight.path for weight in encoder.weights),
        reshaped={
            own.table.path: f"{old.table.shape} to {own.table.shape}"
            for own, old in tables
            if own.table.shape != old.table.shape
        },
    )
