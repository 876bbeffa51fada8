"""FLOPs of a forward pass: counted from the shapes, and as XLA counts them."""


def block(tokens, dim, keys):
    """Returns those of a transformer block; each token attends to `keys`."""
    return 2 * (12 * dim**2 * tokens + 2 * tokens * keys * dim)


def mae(patches, patch_dim, encoder, decoder, seen):
    """Returns those of an image in MAE.

    Args:
        patches: int. Number of patches.
        patch_dim: int. Number of values in one.
        encoder: tuple of int. `(hidden_dim, num_layers)`.
        decoder: tuple of int. Likewise.
        seen: int. Tokens that the encoder sees.

    Returns:
        int. FLOPs of the matrix products.
    """
    (dim, depth), (decoder_dim, decoder_depth) = encoder, decoder
    return (
        2 * patches * patch_dim * dim
        + depth * block(seen, dim, seen)
        + 2 * seen * dim * decoder_dim
        + decoder_depth * block(patches + 1, decoder_dim, patches + 1)
        + 2 * patches * decoder_dim * patch_dim
    )


def count_by_xla(model, image_shape):
    """Returns the FLOPs of the forward pass for an image, as XLA counts them.

    XLA counts in the compiled program, so what is really computed. JAX only.
    """
    import jax
    import numpy as np

    trainable = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    lowered = jax.jit(
        lambda t, n, x: model.stateless_call(t, n, x, training=True)[0]
    ).lower(trainable, others, np.zeros((1, *image_shape), "float32"))
    return lowered.compile().cost_analysis()["flops"]
