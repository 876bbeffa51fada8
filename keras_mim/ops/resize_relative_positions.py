import numpy as np

from keras_mim._array_checks import float_array
from keras_mim._checks import check_grid
from keras_mim._requirements import require


def resize_relative_positions(table, old_window, new_window):
    """Resizes a table of relative position biases to another window.

    Along an axis, the old offsets are moved apart until they span the new
    window: the steps from one to the next grow outwards as `1, q, q ** 2, ...`,
    alike on both sides of 0. A cubic spline through the old biases there is
    read at the new, integer offsets, so offsets -1, 0 and 1 keep their biases.
    A window of 1 or 2 has too few offsets for a cubic spline and needs none:
    its outermost biases are repeated.

    `q` is sought between 1.01 and 1.5, as published, also where that is not
    enough:

    - Shrinking takes 1.01. But for that little stretch every offset keeps its
      bias, and the far ones are cut off. A large window that grows by little,
      such as 16 to 17, takes 1.01 as well.
    - Growing to `new` with `new - 1 > 2 * (1.5 ** (old - 1) - 1)`, such as 7
      to 24, takes 1.5. Offsets beyond the last old one take its bias.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), as in
    SimMIM's `remap_pretrained_keys_swin`, which has it from BEiT. Those handle
    square windows only; here each axis has its own `q`, and an axis of equal
    size is left as it is. Computed in float64, cast at the end.

    Args:
        table: Float array of shape `((2 * height - 1) * (2 * width - 1),
            num_heads)`, row-major over (row offset, column offset). Rows that
            are not offsets, such as BEiT's three last ones for the class
            token, are the caller's to take off before and put back after.
        old_window: tuple of int. `(height, width)` of the table's window, in
            patches.
        new_window: tuple of int. `(height, width)` of the new window.

    Returns:
        Float32 NumPy array of shape `((2 * new_height - 1) * (2 * new_width -
        1), num_heads)`. Equal windows keep the values exactly.
    """
    old_window = check_grid(old_window, "old_window")
    new_window = check_grid(new_window, "new_window")
    table = float_array("table", table, "(num_offsets, num_heads)")
    height, width = (2 * side - 1 for side in old_window)
    if table.ndim != 2 or len(table) != height * width:
        raise ValueError(
            "`table` must have shape ((2 * height - 1) * (2 * width - 1), "
            f"num_heads) = ({height * width}, num_heads) for "
            f"old_window={tuple(old_window)}, without rows for a class token. "
            f"Received: table.shape={table.shape}"
        )
    num_heads = table.shape[1]
    grid = table.astype("float64").reshape(height, width, num_heads)
    for axis, (old, new) in enumerate(zip(old_window, new_window)):
        if old != new:
            grid = _resize_axis(grid, axis, old, new)
    return grid.reshape(-1, num_heads).astype("float32")


def _resize_axis(grid, axis, old, new):
    # Splines per axis are the two-dimensional spline: it is separable. SciPy's
    # `interp2d`, which the published code calls, is gone since SciPy 1.14.
    interpolate = require("scipy", "convert").interpolate
    distances = _distances(old - 1, new - 1)
    source = np.concatenate([-distances[::-1], [0.0], distances])
    target = np.arange(1 - new, new).clip(source[0], source[-1])
    # A window of 1 or 2 has one or three offsets: the degree must be lower.
    degree = min(3, source.size - 1)
    spline = interpolate.make_interp_spline(source, grid, degree, axis=axis)
    return spline(target)


def _distances(count, reach):
    """Returns `count` growing distances from 0, the last one near `reach`."""
    low, high = 1.01, 1.5
    # 19 halvings leave less than 1e-6. The published `q` is the last midpoint,
    # not the middle of what is left.
    for _ in range(19):
        q = (low + high) / 2
        if (q**count - 1) / (q - 1) > reach:
            high = q
        else:
            low = q
    return np.cumsum(q ** np.arange(count))
