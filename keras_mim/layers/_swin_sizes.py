"""Swin's sizes, of which SimMIM's heads invert two."""

from keras_mim._checks import check
from keras_mim._checks import is_int

# [Liu et al., 2021](https://arxiv.org/abs/2103.14030), section 3.3. It also
# names small; SimMIM takes base and large.
SIZES = {
    "tiny": {
        "hidden_dim": 96,
        "depths": (2, 2, 6, 2),
        "num_heads": (3, 6, 12, 24),
    },
    "small": {
        "hidden_dim": 96,
        "depths": (2, 2, 18, 2),
        "num_heads": (3, 6, 12, 24),
    },
    "base": {
        "hidden_dim": 128,
        "depths": (2, 2, 18, 2),
        "num_heads": (4, 8, 16, 32),
    },
    "large": {
        "hidden_dim": 192,
        "depths": (2, 2, 18, 2),
        "num_heads": (6, 12, 24, 48),
    },
}


def check_stages(depths, num_heads):
    """Returns blocks and heads per stage as tuples, or raises a `ValueError`.

    Args:
        depths: sequence of int. Number of blocks per stage.
        num_heads: sequence of int. Number of attention heads per stage.

    Returns:
        tuple: both, as tuples of int.
    """
    for name, values in (("depths", depths), ("num_heads", num_heads)):
        right = isinstance(values, (tuple, list)) and len(values) > 0
        right = right and all(is_int(n) and 0 < n < 2**31 for n in values)
        check(right, name, values, "one positive int per stage")
    if len(depths) != len(num_heads):
        raise ValueError(
            "`depths` and `num_heads` must hold one positive number per "
            f"stage. Received: depths={depths}, num_heads={num_heads}"
        )
    return tuple(map(int, depths)), tuple(map(int, num_heads))
