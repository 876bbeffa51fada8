import numpy as np

from keras_mim._array_checks import check_rank
from keras_mim._checks import check_grid

# The sharpness of torch's cubic kernel. TensorFlow and Pillow take -0.5.
A = -0.75


def resize_bicubic(table, size):
    """Resizes a position table to another grid, as torch does.

    For an encoder that meets images of another size than it was trained on.
    Prefix tokens have no place on the grid: take them off before, and put
    them back after.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), as in MAE's
    `interpolate_pos_embed`, that is `torch.nn.functional.interpolate(size=size,
    mode="bicubic", align_corners=False)` without antialiasing. Given a scale
    factor in place of the size, torch may sample at other places. Computed in
    float64, cast at the end; torch itself computes in the table's dtype.

    Args:
        table: Float array of shape `(height, width, dim)`.
        size: tuple of int. `(height, width)` of the new grid.

    Returns:
        Float32 NumPy array of shape `(*size, dim)`. A grid that keeps its size
        keeps its values exactly.
    """
    check_rank("table", table, "(height, width, dim)")
    table = np.asarray(table)
    if table.dtype.kind not in "iuf" or 0 in table.shape:
        raise ValueError(
            "`table` must have shape (height, width, dim), none of them 0, of "
            f"numbers. Received: table.shape={table.shape}, dtype {table.dtype}"
        )
    size = check_grid(size, "size")
    height, width, dim = table.shape
    # One matrix product per axis: over the rows, then over the columns.
    table = table.astype("float64").reshape(height, width * dim)
    table = _weights(height, size[0]) @ table
    table = _weights(width, size[1]) @ table.reshape(size[0], width, dim)
    return table.astype("float32")


def _weights(old, new):
    """Returns the `(new, old)` matrix that resizes one axis."""
    rows = np.arange(new)
    position = (rows + 0.5) * (old / new) - 0.5
    weights = np.zeros((new, old))
    for tap in (-1, 0, 1, 2):
        column = np.floor(position).astype("int64") + tap
        # Beyond the border the outermost value repeats, so its weights add up.
        weights[rows, column.clip(0, old - 1)] += _cubic(position - column)
    return weights


def _cubic(distance):
    x = np.abs(distance)
    near = ((A + 2) * x - (A + 3)) * x**2 + 1
    far = A * (((x - 5) * x + 8) * x - 4)
    return np.where(x <= 1, near, far)
