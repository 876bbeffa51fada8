"""Images to patches and back, in the channel-last order MAE's weights use."""

from keras import ops

from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._array_checks import static_sizes
from keras_mim._checks import check_counts
from keras_mim._checks import check_grid
from keras_mim._checks import check_image_shape


def patch_grid(image_shape, patch_size):
    """Returns the `(height, width)` grid of patches in an image.

    Args:
        image_shape: tuple of int. `(height, width, channels)` in pixels.
        patch_size: int. Side of a square patch in pixels.

    Raises:
        ValueError: If the shape is not three positive integers, or a side is
            not divisible by `patch_size`.
    """
    height, width, _ = check_image_shape(image_shape)
    check_counts(patch_size=patch_size)
    if height % patch_size or width % patch_size:
        raise ValueError(
            "The height and width of `image_shape` must be divisible by "
            f"`patch_size`. Received: image_shape={tuple(image_shape)}, "
            f"patch_size={patch_size}"
        )
    return int(height // patch_size), int(width // patch_size)


def patchify(images, patch_size):
    """Cuts images into flat patches.

    Patches come in row-major order. Inside a patch the order is (row, column,
    channel), channel fastest, as in MAE's `patchify`.

    Args:
        images: Tensor of shape `(batch_size, height, width, channels)`.
        patch_size: int. Side of a patch in pixels.

    Returns:
        Tensor of shape `(batch_size, num_patches, patch_size ** 2 *
        channels)`, same dtype as `images`.
    """
    check_rank("images", images, IMAGES)
    image_shape = static_sizes(images.shape[1:])
    height, width = patch_grid(image_shape, patch_size)
    channels = image_shape[-1]
    x = ops.reshape(
        images, (-1, height, patch_size, width, patch_size, channels)
    )
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height * width, patch_size**2 * channels))


def unpatchify(patches, grid, patch_size):
    """Puts flat patches back together: the inverse of `patchify`.

    Args:
        patches: Tensor of shape `(batch_size, num_patches, patch_size ** 2 *
            channels)`.
        grid: tuple of int. `(height, width)` in patches.
        patch_size: int. Side of a patch in pixels.

    Returns:
        Tensor of shape `(batch_size, height, width, channels)` in pixels.
    """
    check_rank("patches", patches, "(batch_size, num_patches, patch_dim)")
    check_counts(patch_size=patch_size)
    height, width = grid = check_grid(grid)
    num_patches, patch_dim = static_sizes(patches.shape[1:])
    if num_patches != height * width or patch_dim % patch_size**2:
        raise ValueError(
            "`patches` must have shape (batch_size, grid height * grid width, "
            "patch_size ** 2 * channels). Received: "
            f"patches.shape={tuple(patches.shape)}, grid={grid}, "
            f"patch_size={patch_size}"
        )
    channels = patch_dim // patch_size**2
    x = ops.reshape(
        patches, (-1, height, width, patch_size, patch_size, channels)
    )
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(
        x, (-1, height * patch_size, width * patch_size, channels)
    )
