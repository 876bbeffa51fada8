"""How the tokens of an image become its features: the one rule of pooling."""

from keras import ops

from keras_mim._checks import check_choice
from keras_mim.encoders import Encoder


def resolve_pooling(encoder, pooling):
    """Returns how an encoder's tokens are pooled.

    `None` is the class token where the encoder has one and its paper uses it,
    else the mean of the patch tokens: `encoder.default_pooling`.

    Args:
        encoder: `keras_mim.encoders.Encoder`.
        pooling: str or `None`. `"cls"`, `"mean"` or the default.

    Returns:
        str: `"cls"` or `"mean"`.

    Raises:
        ValueError: If the encoder is none, or has no class token to take.
    """
    check_encoder(encoder)
    if pooling is None:
        return encoder.default_pooling
    check_choice("pooling", pooling, ("mean", "cls"))
    if pooling == "cls" and not encoder.num_prefix_tokens:
        raise ValueError(
            "pooling='cls' needs an encoder with a class token; pass "
            "pooling='mean'. Received: an encoder with num_prefix_tokens=0"
        )
    return pooling


def check_encoder(encoder):
    """Raises a `ValueError` unless it is an encoder."""
    if not isinstance(encoder, Encoder):
        raise ValueError(
            "`encoder` must be a `keras_mim.encoders.Encoder`; of a masked "
            "image model or a classifier pass `model.encoder`. "
            f"Received: encoder={encoder!r}"
        )


def pool_tokens(tokens, encoder, pooling):
    """Returns the class token, or the mean of the patch tokens."""
    if pooling == "cls":
        return tokens[:, 0]
    return ops.mean(tokens[:, encoder.num_prefix_tokens :], axis=1)
