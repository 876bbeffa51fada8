"""Targets at other resolutions than that of the images."""

import keras

from keras_mim import ops


def values_per_side(pool_size, patch_size):
    """Returns how many values a side of a patch has: one for larger squares.

    Raises a `ValueError` unless a patch holds whole squares, or a square whole
    patches.
    """
    if patch_size % pool_size and pool_size % patch_size:
        raise ValueError(
            "`pool_size` must divide `patch_size` or be a multiple of it. "
            f"Received: pool_size={pool_size}, patch_size={patch_size}"
        )
    return max(patch_size // pool_size, 1)


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


def pooled_patches(images, pool_size, patch_size):
    """Cuts the means of squares of pixels into patches.

    A square larger than a patch gives its mean to all patches in it.

    Args:
        images: Tensor of shape `(batch_size, height, width, channels)`.
        pool_size: int. Side of a square in pixels.
        patch_size: int. Side of a patch in pixels.

    Returns:
        Tensor of shape `(batch_size, num_patches, values_per_side ** 2 *
        channels)`, in the order of `patchify`.
    """
    side = values_per_side(pool_size, patch_size)
    means = ops.enlarge(
        pool(images, pool_size), max(pool_size // patch_size, 1)
    )
    return ops.patchify(means, side)


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
    side = values_per_side(pool_size, patch_size)
    means = ops.unpatchify(patches, grid, side)
    return ops.enlarge(means, min(pool_size, patch_size))
