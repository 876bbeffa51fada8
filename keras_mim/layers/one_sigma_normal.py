import math

import keras
from keras import ops

from keras_mim._checks import check_numbers
from keras_mim._checks import check_seed

# Share of a normal distribution within one standard deviation.
INSIDE = math.erf(0.5**0.5)


@keras.saving.register_keras_serializable(package="keras_mim")
class OneSigmaNormal(keras.initializers.RandomUniform):
    """Initializer: a normal distribution cut at one standard deviation.

    Keras's `TruncatedNormal` cuts at two. What is left has a deviation of
    0.5396 `stddev`: BEiT's kernels, said to be 0.02, are 0.0108.

    Reference: `trunc_normal_` of BEiT's pre-training
    ([Bao et al., 2021](https://arxiv.org/abs/2106.08254)) and of SimMIM's
    `VisionTransformerForSimMIM`: torch's with `a=-std, b=std`. Drawn as there,
    by the inverse of the distribution function.

    Args:
        stddev: float. Standard deviation before the cut, and largest absolute
            value. Defaults to `0.02`.
        seed: int, `keras.random.SeedGenerator` or `None`. As for Keras's
            initializers: one with an int or `None` draws the same values at
            every call.

    Example:

    >>> initializer = keras_mim.layers.OneSigmaNormal(stddev=0.02)
    >>> layer = keras.layers.Dense(3, kernel_initializer=initializer)
    """

    def __init__(self, stddev=0.02, seed=None):
        check_numbers("[0, inf)", stddev=stddev)
        is_config = isinstance(seed, dict) and "class_name" in seed
        if not is_config and not isinstance(seed, keras.random.SeedGenerator):
            check_seed(seed)
        super().__init__(-INSIDE, INSIDE, seed=seed)
        self.stddev = stddev

    def __call__(self, shape, dtype=None):
        # In float32, also for half-precision weights: their uniform values
        # would be too coarse.
        values = ops.erfinv(super().__call__(shape, dtype="float32"))
        values = values * (2**0.5 * self.stddev)
        # The function's rounding errors could pass the cut.
        values = ops.clip(values, -self.stddev, self.stddev)
        return ops.cast(values, dtype or keras.config.floatx())

    def get_config(self):
        return {"stddev": self.stddev, "seed": super().get_config()["seed"]}
