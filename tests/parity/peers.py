"""What the comparisons with torch models share."""

import numpy as np


def randomise(module, scale=0.2):
    """Gives every parameter of a torch module random values; returns it."""
    import torch

    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in module.parameters():
            values = rng.normal(0, scale, tuple(parameter.shape))
            parameter.copy_(torch.tensor(values))
    return module
