import numpy as np

from keras_mim._checks import check_grid
from keras_mim._checks import check_prefix


def relative_position_index(grid, num_prefix_tokens=0):
    """Returns which row of a bias table each pair of tokens looks up.

    The table has a row for every offset (row, column) between two patches, from
    the most negative to the most positive, row-major: `(2 * height - 1) * (2 *
    width - 1)`. With a prefix token three more follow: prefix to patch, patch
    to prefix, prefix to itself.

    Reference: BEiT's `RelativePositionBias`
    ([Bao et al., 2021](https://arxiv.org/abs/2106.08254)), which SimMIM's ViT
    shares; without a prefix token Swin's.

    Args:
        grid: tuple of int. `(height, width)` in patches.
        num_prefix_tokens: int. 0 or 1. Defaults to `0`.

    Returns:
        Int32 NumPy array of shape `(num_tokens, num_tokens)`.
    """
    check_prefix(num_prefix_tokens)
    height, width = grid = check_grid(grid)
    rows, columns = np.indices(grid).reshape(2, -1)
    row_offset = rows[:, None] - rows[None, :] + height - 1
    column_offset = columns[:, None] - columns[None, :] + width - 1
    index = row_offset * (2 * width - 1) + column_offset
    if num_prefix_tokens:
        last = (2 * height - 1) * (2 * width - 1)
        index = np.pad(index, ((1, 0), (1, 0)))
        index[0, :], index[:, 0], index[0, 0] = last, last + 1, last + 2
    return index.astype("int32")
