import keras
from keras import ops

from keras_mim._checks import check_numbers
from keras_mim.optimizers._scales import check_number
from keras_mim.optimizers._scales import checked_rate
from keras_mim.optimizers._scales import checked_scales


@keras.saving.register_keras_serializable(package="keras_mim")
class LARS(keras.optimizers.Optimizer):
    """Momentum whose step is as long as the weight allows (LARS).

    The gradient of each weight of two or more dimensions, weight decay added,
    is scaled to the length of `trust_coefficient` times the weight's; where
    either is zero it stays as it is. Biases and norms get plain momentum and no
    decay. With it MAE's linear probes learn in batches of 16,384.

    Reference: [You et al., 2017](https://arxiv.org/abs/1708.03888), in the form
    that MoCo v3 and MAE have: the learning rate is applied after the momentum,
    so a schedule scales past gradients too.

    Args:
        learning_rate: float or schedule. Defaults to `6.4`, MAE's 0.1 for
            batches of 256 in one of 16,384.
        weight_decay: float. Defaults to `0.0`, MAE's.
        momentum: float. Defaults to `0.9`.
        trust_coefficient: float. Defaults to `0.001`.
        learning_rate_scales: sequence of float or `None`. What each trainable
            weight's learning rate is multiplied by; see
            `keras_mim.transfer.LinearProbeSweep`. Defaults to `None`: 1.
        **kwargs: Further arguments of `keras.optimizers.Optimizer`.

    Example:

    >>> probe.compile(keras_mim.optimizers.LARS(schedule))
    """

    def __init__(
        self,
        learning_rate=6.4,
        weight_decay=0.0,
        momentum=0.9,
        trust_coefficient=0.001,
        learning_rate_scales=None,
        name="lars",
        **kwargs,
    ):
        learning_rate = checked_rate(learning_rate)
        check_numbers("[0, inf)", True, weight_decay=weight_decay)
        check_numbers("[0, 1)", momentum=momentum)
        check_numbers("[0, inf)", trust_coefficient=trust_coefficient)
        super().__init__(
            learning_rate, weight_decay=weight_decay, name=name, **kwargs
        )
        self.momentum = momentum
        self.trust_coefficient = trust_coefficient
        self.learning_rate_scales = checked_scales(learning_rate_scales)

    def build(self, variables):
        if self.built:
            return
        check_number(
            "learning_rate_scales", self.learning_rate_scales, variables
        )
        super().build(variables)
        (self.momenta,) = self.add_optimizer_variables(variables, ["momentum"])

    def update_step(self, gradient, variable, learning_rate):
        gradient = ops.cast(gradient, variable.dtype)
        if len(variable.shape) > 1:
            if self._use_weight_decay(variable):
                decay = ops.cast(self.weight_decay, variable.dtype)
                gradient = gradient + decay * variable
            gradient = gradient * self._trust(gradient, variable)
        index = self._get_variable_index(variable)
        if self.learning_rate_scales is not None:
            learning_rate = learning_rate * self.learning_rate_scales[index]
        momentum = self.momenta[index]
        self.assign(momentum, self.momentum * momentum + gradient)
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * momentum)

    def _trust(self, gradient, variable):
        weight_norm, gradient_norm = (
            ops.sqrt(ops.sum(ops.square(x))) for x in (variable, gradient)
        )
        usable = ops.logical_and(weight_norm > 0, gradient_norm > 0)
        safe = ops.where(usable, gradient_norm, 1.0)
        scaled = self.trust_coefficient * weight_norm / safe
        return ops.where(usable, scaled, 1.0)

    def _apply_weight_decay(self, variables):
        # Here the decay is a part of the gradient.
        pass

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "trust_coefficient": self.trust_coefficient,
            "learning_rate_scales": self.learning_rate_scales,
        }
