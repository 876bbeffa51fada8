"""FLOPs of the matrix products in a forward pass, counted from the shapes."""


def block(tokens, dim, keys):
    """Those of one transformer block whose tokens attend to `keys` others."""
    return 2 * (12 * dim**2 * tokens + 2 * tokens * keys * dim)


def mae(patches, patch_dim, encoder, decoder, seen):
    """Those of an image in MAE.

    Args:
        patches: int. Number of patches.
        patch_dim: int. Number of values in one.
        encoder: tuple of int. `(hidden_dim, num_layers)`.
        decoder: tuple of int. Likewise.
        seen: int. Tokens that the encoder sees.
    """
    (dim, depth), (decoder_dim, decoder_depth) = encoder, decoder
    return (
        2 * patches * patch_dim * dim
        + depth * block(seen, dim, seen)
        + 2 * seen * dim * decoder_dim
        + decoder_depth * block(patches + 1, decoder_dim, patches + 1)
        + 2 * patches * decoder_dim * patch_dim
    )
