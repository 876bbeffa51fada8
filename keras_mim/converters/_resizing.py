"""How arrays of a checkpoint are resized for another grid or other channels."""

import math

import numpy as np

from keras_mim import ops

# Sine-cosine tables go through half precision in some files: bfloat16 keeps 8
# bits of a value near 1. A trained table is off by far more.
TABLE_TOLERANCE = 2.0**-8


def is_sine_cosine(table, grid, num_prefix_tokens):
    """Whether a position table is MAE's fixed one."""
    hidden_dim = table.shape[-1]
    if hidden_dim % 4:
        return False
    expected = ops.sine_cosine_positions(grid, hidden_dim, num_prefix_tokens)
    difference = np.abs(table[0].astype("float32") - expected)
    return bool(difference.max() <= TABLE_TOLERANCE)


def resized(array, entry, where, grid=None, adapt_channels=False):
    """Returns a checkpoint's array for the grid and channels of an entry.

    `where` names it in messages; for the rest see `assign`.
    """
    if entry.kind in ("sine_cosine", "learned"):
        return _resized_positions(array, entry, grid, where)
    if entry.kind == "relative":
        return _resized_relative_positions(array, entry, grid, where)
    if entry.kind == "window":  # Windows are square.
        return _resized_relative_positions(array, entry, None, where)
    if entry.kind == "patches" and adapt_channels and array.ndim == 4:
        return _with_channels(array, entry.shape[1])
    return array


def _resized_positions(array, entry, grid, where):
    """Returns a position table for the model's grid."""
    height, width = entry.grid
    _, num_tokens, hidden_dim = entry.shape
    num_prefix_tokens = num_tokens - height * width
    if array.ndim != 3 or array.shape[0] != 1 or array.shape[2] != hidden_dim:
        raise ValueError(
            f"{where} must have shape (1, num_tokens, {hidden_dim}). "
            f"Received: shape {array.shape}"
        )
    num_patches = array.shape[1] - num_prefix_tokens
    grids = [grid] if grid else _possible_grids(num_patches, entry.grid)
    if not grids or math.prod(grids[0]) != num_patches:
        raise ValueError(
            f"{where} holds {num_patches} patches. Pass the checkpoint's grid, "
            "(height, width) in patches, whose product they are. "
            f"Received: grid={grid}"
        )
    if entry.kind == "sine_cosine":
        matching = [
            possible
            for possible in grids
            if is_sine_cosine(array, possible, num_prefix_tokens)
        ]
        if not matching:
            raise ValueError(
                f"{where} must be MAE's sine-cosine table for one of the grids "
                f"{grids}, as the model's is. It is not: a trained table wants "
                "a model with positions='learned'"
            )
        # Computed anew: better than interpolating the old one, and than
        # half precision.
        return ops.sine_cosine_positions(
            entry.grid, hidden_dim, num_prefix_tokens
        )[None]
    if len(grids) > 1:
        raise ValueError(
            f"{where} may be of any of the grids {grids}. Pass the "
            f"checkpoint's as `grid`. Received: grid={grid}"
        )
    if grids[0] == entry.grid:
        return array
    prefix, patches = np.split(array[0], [num_prefix_tokens])
    patches = ops.resize_bicubic(patches.reshape(*grids[0], -1), entry.grid)
    patches = patches.reshape(-1, hidden_dim)
    return np.concatenate([prefix, patches])[None]


def _resized_relative_positions(array, entry, grid, where):
    """Returns a relative-position table for the model's grid.

    By SimMIM's geometric rule; the rows of a class token stay as they are.
    """
    own = _num_offsets(entry.grid)
    num_rows, num_heads = entry.shape
    num_extra = num_rows - own
    if array.ndim != 2 or array.shape[1] != num_heads:
        raise ValueError(
            f"{where} must have shape (num_offsets, {num_heads}). "
            f"Received: shape {array.shape}"
        )
    num_offsets = len(array) - num_extra
    if grid is None:
        side = (math.isqrt(max(num_offsets, 0)) + 1) // 2
        square = (side, side)
        grid = entry.grid if num_offsets == own else square
    if num_offsets != _num_offsets(grid):
        raise ValueError(
            f"{where} holds {num_offsets} offsets. Pass the checkpoint's grid, "
            "(height, width) in patches, of which (2 * height - 1) * (2 * "
            f"width - 1) is that number. Received: grid={grid}"
        )
    if tuple(grid) == entry.grid:
        return array
    table, extra = np.split(array, [num_offsets])
    table = ops.resize_relative_positions(table, grid, entry.grid)
    return np.concatenate([table, extra])


def _num_offsets(grid):
    return (2 * grid[0] - 1) * (2 * grid[1] - 1)


def _possible_grids(num_patches, own):
    side = math.isqrt(max(num_patches, 0))
    square = [(side, side)] if side and side**2 == num_patches else []
    return list(
        dict.fromkeys(([own] if math.prod(own) == num_patches else []) + square)
    )


def _with_channels(kernel, num_channels):
    """Returns a patch kernel for images with other channels.

    One channel: the sum over the old ones, which is what a grey image shown
    as colours gives. More: the old ones in turn, scaled by old / new, so that
    the sum over all channels keeps its size. The rule is timm's.
    """
    old = kernel.shape[1]
    if old == num_channels:
        return kernel
    if num_channels == 1:
        return kernel.sum(axis=1, keepdims=True)
    turn = np.arange(num_channels) % old
    return kernel[:, turn] * np.float32(old / num_channels)
