import keras
import numpy as np
from keras import ops

from keras_mim._checks import check
from keras_mim._checks import check_numbers
from keras_mim.optimizers._scales import check_number
from keras_mim.optimizers._scales import checked_rate
from keras_mim.optimizers._scales import checked_scales


@keras.saving.register_keras_serializable(package="keras_mim")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW with a learning rate and a weight decay of each weight's own.

    A weight's learning rate is the optimizer's, times the weight's scale: so
    one schedule, one clipping norm and one count of steps serve all. This is
    how fine-tuning gives earlier layers smaller rates; see
    `keras_mim.transfer.layer_scales`. Decay is decoupled and goes by the
    weight's own rate, as in PyTorch's parameter groups.

    Keras's `MultiOptimizer` could hold an `AdamW` per rate. It would clip the
    gradients of each apart (SimMIM clips the norm of all together), and has no
    `learning_rate` for callbacks to read.

    References: [Bao et al., 2021](https://arxiv.org/abs/2106.08254) (BEiT), and
    the parameter groups of MAE's and SimMIM's code.

    Args:
        learning_rate: float or schedule. Rate of a weight of scale 1.
        weight_decay: float. Defaults to `0.05`, both papers'.
        epsilon: float. Defaults to `1e-8`, PyTorch's.
        learning_rate_scales: sequence of float. One for each trainable weight,
            in the order of the model's `trainable_weights`. `None` is 1 for
            all. Defaults to `None`.
        decayed: sequence of bool, likewise: which weights decay. `None` is all
            but those of one dimension. Defaults to `None`.
        **kwargs: Further arguments of `keras.optimizers.AdamW`.

    Example:

    >>> optimizer = keras_mim.optimizers.LayerwiseAdamW(
    ...     1e-3,
    ...     learning_rate_scales=keras_mim.transfer.layer_scales(model, 0.65),
    ...     decayed=keras_mim.transfer.decayed_weights(model),
    ... )
    """

    def __init__(
        self,
        learning_rate=1e-3,
        weight_decay=0.05,
        epsilon=1e-8,
        learning_rate_scales=None,
        decayed=None,
        name="layerwise_adamw",
        **kwargs,
    ):
        learning_rate = checked_rate(learning_rate)
        check_numbers("[0, inf)", True, weight_decay=weight_decay)
        check_numbers("[0, inf)", epsilon=epsilon)
        if decayed is not None:
            right = isinstance(decayed, (tuple, list))
            right = right and all(
                isinstance(x, (bool, np.bool_, int)) and x in (0, 1)
                for x in decayed
            )
            check(right, "decayed", decayed, "bools, or None")
        super().__init__(
            learning_rate, weight_decay, epsilon=epsilon, name=name, **kwargs
        )
        self.learning_rate_scales = checked_scales(learning_rate_scales)
        self.decayed = None if decayed is None else [bool(x) for x in decayed]

    def build(self, variables):
        for name in ("learning_rate_scales", "decayed"):
            check_number(name, getattr(self, name), variables)
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        if self.learning_rate_scales is not None:
            learning_rate = learning_rate * self.learning_rate_scales[index]
        decays = len(variable.shape) > 1
        if self.decayed is not None:
            decays = self.decayed[index]
        if decays and self._use_weight_decay(variable):
            factor = ops.cast(learning_rate * self.weight_decay, variable.dtype)
            self.assign_sub(variable, variable * factor)
        super().update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables):
        # Keras decays all weights by one rate; here `update_step` does it.
        pass

    def get_config(self):
        return {
            **super().get_config(),
            "learning_rate_scales": self.learning_rate_scales,
            "decayed": self.decayed,
        }
