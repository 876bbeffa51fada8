from keras import ops


def check_head(encoder, num_classes, pooling):
    """Raises if an encoder cannot be pooled so, or there is no class."""
    if num_classes < 1:
        raise ValueError(
            "`num_classes` must be positive. "
            f"Received: num_classes={num_classes}"
        )
    check_pooling(encoder, pooling)


def check_pooling(encoder, pooling):
    """Raises if the tokens of an encoder cannot be pooled so."""
    if pooling not in ("mean", "cls"):
        raise ValueError(
            f"`pooling` must be 'mean' or 'cls'. Received: pooling={pooling!r}"
        )
    if pooling == "cls" and not encoder.num_prefix_tokens:
        raise ValueError(
            "pooling='cls' needs an encoder with a class token; pass "
            "pooling='mean'. Received: an encoder with num_prefix_tokens=0"
        )


def pooled(tokens, encoder, pooling):
    """Returns the class token, or the mean of the patch tokens."""
    if pooling == "cls":
        return tokens[:, 0]
    return ops.mean(tokens[:, encoder.num_prefix_tokens :], axis=1)
