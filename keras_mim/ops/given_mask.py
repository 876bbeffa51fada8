"""Masks that come from the caller, checked outside of any traced graph."""

import math

import numpy as np

from keras_mim._array_checks import check_masked
from keras_mim._checks import check_counts
from keras_mim._checks import check_image_shape
from keras_mim._checks import check_numbers


def check_mask(masked, num_images, num_patches):
    """Checks a mask and returns it with its number of hidden patches.

    Args:
        masked: Boolean array of shape `(num_images, num_patches)`, or of shape
            `(num_patches,)` for the same mask on every image.
        num_images: int. Number of images it is for.
        num_patches: int. Number of patches in an image.

    Returns:
        A boolean NumPy array of shape `(num_images, num_patches)` and an int.

    Raises:
        ValueError: If dtype or shape are wrong, the images do not hide equally
            many patches, or none or all patches are hidden.
    """
    check_counts(num_images=num_images, num_patches=num_patches)
    masked = np.asarray(masked)
    if masked.dtype != bool:
        raise ValueError(
            "`masked` must be boolean, True where a patch is hidden. "
            f"Received: masked of dtype {masked.dtype}"
        )
    if masked.shape == (num_patches,):
        masked = np.broadcast_to(masked, (num_images, num_patches))
    if masked.shape != (num_images, num_patches):
        raise ValueError(
            "`masked` must have shape (number of images, number of patches) "
            f"= {(num_images, num_patches)}. "
            f"Received: masked.shape={masked.shape}"
        )
    counts = masked.sum(axis=1)
    if counts.min() != counts.max():
        raise ValueError(
            "`masked` must hide the same number of patches in every image. "
            f"Received: between {counts.min()} and {counts.max()}"
        )
    num_masked = int(counts[0])
    if not 0 < num_masked < num_patches:
        raise ValueError(
            "`masked` must hide at least one patch and leave at least one "
            f"visible. Received: {num_masked} of {num_patches} hidden"
        )
    return masked, num_masked


def mask_from_picture(
    picture, patch_size, mask_patch_size=None, share=1.0, seed=None
):
    """Turns a mask over pixels, such as an object's, into one over patches.

    A patch, or a cell of patches, is hidden when at least half of its pixels
    are. With a `share` below 1, that share of them, drawn at random: SimMIM
    looks at what its models make of random cells, of most of an object, and of
    the full object hidden.

    Args:
        picture: Boolean array of shape `(height, width)`, `True` = hidden.
        patch_size: int. Side of a patch in pixels.
        mask_patch_size: int or `None`. Side of the cells in pixels, a multiple
            of the patch size; `None` takes single patches.
        share: float. Share of the covered patches or cells that are hidden, in
            (0, 1], rounded up. Defaults to `1.0`.
        seed: int or `None`. Seed of the draw.

    Returns:
        Boolean NumPy array of shape `(num_patches,)`.
    """
    check_counts(patch_size=patch_size)
    check_counts(or_none=True, mask_patch_size=mask_patch_size)
    check_numbers("(0, 1]", share=share)
    check_counts(0, or_none=True, seed=seed)
    picture = np.asarray(picture)
    if picture.dtype != bool:
        raise ValueError(
            "`picture` must be boolean, True where a pixel is hidden. "
            f"Received: picture of dtype {picture.dtype}"
        )
    side = patch_size if mask_patch_size is None else mask_patch_size
    if side % patch_size:
        raise ValueError(
            "`mask_patch_size` must be a multiple of `patch_size`. Received: "
            f"mask_patch_size={mask_patch_size}, patch_size={patch_size}"
        )
    if picture.ndim != 2 or any(length % side for length in picture.shape):
        raise ValueError(
            "`picture` must have shape (height, width), both divisible by "
            f"`patch_size` or `mask_patch_size`, {side}. "
            f"Received: picture.shape={picture.shape}, patch_size={patch_size}"
        )
    height, width = (length // side for length in picture.shape)
    cells = picture.reshape(height, side, width, side)
    covered = cells.mean(axis=(1, 3)) >= 0.5
    places = np.flatnonzero(covered)
    num_visible = len(places) - math.ceil(len(places) * share)
    rng = np.random.default_rng(seed)
    covered.flat[rng.choice(places, num_visible, replace=False)] = False
    scale = side // patch_size
    return covered.repeat(scale, axis=0).repeat(scale, axis=1).reshape(-1)


def mask_to_pixels(masked, image_shape):
    """Turns masks over patches into masks over pixels, to look at.

    Args:
        masked: Boolean array of shape `(num_images, num_patches)`.
        image_shape: tuple of int. `(height, width, channels)`.

    Returns:
        Boolean NumPy array of shape `(num_images, height, width, 1)`.
    """
    check_masked(masked)
    height, width, _ = check_image_shape(image_shape)
    patch_size = max(round((height * width / masked.shape[1]) ** 0.5), 1)
    if height * width != patch_size**2 * masked.shape[1]:
        raise ValueError(
            "`masked` must have square patches of an image of "
            f"image_shape={image_shape}. Received: masked of shape "
            f"{tuple(masked.shape)}"
        )
    cells = np.asarray(masked).reshape(
        -1, height // patch_size, width // patch_size, 1
    )
    return cells.repeat(patch_size, axis=1).repeat(patch_size, axis=2)
