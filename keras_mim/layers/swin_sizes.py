"""Swin's sizes, of which SimMIM's heads invert two."""

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
