import numpy as np

from keras_mim._checks import check
from keras_mim._checks import check_counts
from keras_mim._checks import check_grid


def sine_cosine_positions(grid, hidden_dim, num_prefix_tokens=0):
    """Returns MAE's fixed two-dimensional sine-cosine position table.

    The features of the patch at (row, column) are `[sin(column * w),
    cos(column * w), sin(row * w), cos(row * w)]`, each a quarter wide, with
    `w[k] = 10000 ** (-k / (hidden_dim / 4))`. The column comes first: MAE's
    published weights want it so, though its code names the halves the other
    way round. Prefix tokens get zeros.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), as in MAE's
    `get_2d_sincos_pos_embed`: computed in float64, cast at the end.

    Args:
        grid: tuple of int. `(height, width)` in patches.
        hidden_dim: int. Number of features, divisible by 4.
        num_prefix_tokens: int. Number of leading rows of zeros.
            Defaults to `0`.

    Returns:
        Float32 NumPy array of shape `(num_prefix_tokens + height * width,
        hidden_dim)`.
    """
    grid = check_grid(grid)
    check_counts(hidden_dim=hidden_dim)
    check_counts(least=0, num_prefix_tokens=num_prefix_tokens)
    expected = "divisible by 4 for sine-cosine positions"
    check(hidden_dim % 4 == 0, "hidden_dim", hidden_dim, expected)
    quarter = hidden_dim // 4
    frequencies = 10000.0 ** (-np.arange(quarter) / quarter)
    rows, columns = np.indices(grid).reshape(2, -1)
    table = [np.zeros((rows.size, 0))]
    for position in (columns, rows):
        angles = position[:, None] * frequencies[None, :]
        table += [np.sin(angles), np.cos(angles)]
    table = np.concatenate(table, axis=1)
    prefix = np.zeros((num_prefix_tokens, hidden_dim))
    return np.concatenate([prefix, table]).astype("float32")
