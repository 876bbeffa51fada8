"""Targets at other resolutions than that of the images."""

import keras

from keras_mim import ops


def check_pool_size(pool_size, patch_size):
    """Raises unless a patch holds whole squares, or a square whole patches."""
    if pool_size < 1 or (patch_size % pool_size and pool_size % patch_size):
        raise ValueError(
            "`pool_size` must divide `patch_size` or be a multiple of it. "
            f"Received: pool_size={pool_size}, patch_size={patch_size}"
        )


def pool(images, pool_size):
    """Returns images of the means of squares of pixels.

    Args:
        images: Tensor of shape `(batch_size, height, width, channels)`.
        pool_size: int. Side of a square in pixels.

    Returns:
        Tensor of shape `(batch_size, height // pool_size, width // pool_size,
        channels)`.
    """
    if pool_size == 1:
        return images
    _, height, width, _ = images.shape
    if height % pool_size or width % pool_size:
        raise ValueError(
            "The image height and width must be divisible by `pool_size`. "
            f"Received: images of shape {tuple(images.shape)}, "
            f"pool_size={pool_size}"
        )
    height, width = height // pool_size, width // pool_size
    cut = (-1, height, pool_size, width, pool_size, images.shape[-1])
    return keras.ops.mean(keras.ops.reshape(images, cut), axis=(2, 4))


def enlarge(images, factor):
    """Returns images whose pixels are repeated `factor` times each way."""
    if factor == 1:
        return images
    _, height, width, channels = images.shape
    x = keras.ops.reshape(images, (-1, height, 1, width, 1, channels))
    x = keras.ops.tile(x, (1, 1, factor, 1, factor, 1))
    return keras.ops.reshape(x, (-1, height * factor, width * factor, channels))


def pooled_patches(images, pool_size, patch_size):
    """Cuts the means of squares of pixels into patches.

    A square larger than a patch gives its mean to all patches in it.

    Args:
        images: Tensor of shape `(batch_size, height, width, channels)`.
        pool_size: int. Side of a square in pixels.
        patch_size: int. Side of a patch in pixels.

    Returns:
        Tensor of shape `(batch_size, num_patches, values_per_side ** 2 *
        channels)`, where `values_per_side` is `max(patch_size // pool_size,
        1)`, in the order of `patchify`.
    """
    check_pool_size(pool_size, patch_size)
    means = enlarge(pool(images, pool_size), max(pool_size // patch_size, 1))
    return ops.patchify(means, max(patch_size // pool_size, 1))


def pooled_to_images(patches, images, pool_size, patch_size):
    """Turns values of squares, cut into patches, into full images.

    Args:
        patches: Tensor of the shape that `pooled_patches` returns.
        images: Tensor of shape `(batch_size, height, width, channels)`: the
            shape to return.
        pool_size: int. Side of a square in pixels.
        patch_size: int. Side of a patch in pixels.

    Returns:
        Tensor of the shape of `images`.
    """
    grid = ops.patch_grid(tuple(images.shape[1:]), patch_size)
    means = ops.unpatchify(patches, grid, max(patch_size // pool_size, 1))
    return enlarge(means, min(pool_size, patch_size))
