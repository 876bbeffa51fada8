"""Cells: squares of patches that are hidden, or left, as a whole."""

import keras

from keras_mim import ops
from keras_mim._checks import check_counts
from keras_mim._checks import check_grid


def cell_grid(grid, patch_size, mask_patch_size):
    """Returns the grid in cells, and the side of a cell in patches.

    Args:
        grid: tuple of int. `(height, width)` in patches.
        patch_size: int. Side of a patch in pixels.
        mask_patch_size: int or `None`. Side of a cell in pixels; `None` makes
            every patch its own cell.

    Returns:
        Tuple `((height, width), scale)`.
    """
    grid = check_grid(grid)
    if mask_patch_size is None:
        return grid, 1
    check_counts(patch_size=patch_size)
    check_cell(mask_patch_size, patch_size)
    scale = mask_patch_size // patch_size
    if grid[0] % scale or grid[1] % scale:
        pixels = tuple(side * patch_size for side in grid)
        raise ValueError(
            "The image height and width must be divisible by "
            f"`mask_patch_size`. Received: an image of {pixels} pixels, "
            f"mask_patch_size={mask_patch_size}"
        )
    return (grid[0] // scale, grid[1] // scale), scale


def spread_cells(masked, grid, scale):
    """Turns a mask over cells into one over patches.

    Args:
        masked: Boolean tensor of shape `(batch_size, num_cells)`.
        grid: tuple of int. `(height, width)` in cells.
        scale: int. Side of a cell in patches.

    Returns:
        Boolean tensor of shape `(batch_size, num_cells * scale ** 2)`.
    """
    if scale == 1:
        return masked
    masked = ops.enlarge(keras.ops.reshape(masked, (-1, *grid, 1)), scale)
    return keras.ops.reshape(masked, (-1, grid[0] * grid[1] * scale**2))


def check_cell(mask_patch_size, patch_size):
    """Raises unless a cell is `None`, or as large as whole patches are."""
    check_counts(or_none=True, mask_patch_size=mask_patch_size)
    if None not in (mask_patch_size, patch_size) and (
        mask_patch_size % patch_size
    ):
        raise ValueError(
            "`mask_patch_size` must be a multiple of `patch_size`. Received: "
            f"mask_patch_size={mask_patch_size}, patch_size={patch_size}"
        )


def check_count(num_masked, num_cells, mask_ratio):
    """Returns a count that hides something and leaves something."""
    if not 0 < num_masked < num_cells:
        raise ValueError(
            "`mask_ratio` must hide at least one patch (or cell) and leave at "
            f"least one visible. Received: mask_ratio={mask_ratio}, which "
            f"hides {num_masked} of {num_cells}"
        )
    return num_masked
