"""Optimisation that Keras does not have."""

from keras_mim.optimizers.lars import LARS as LARS
from keras_mim.optimizers.layerwise_adamw import (
    LayerwiseAdamW as LayerwiseAdamW,
)
from keras_mim.optimizers.warm_up import WarmUp as WarmUp
