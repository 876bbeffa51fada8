"""Values that an optimizer has one of for each weight."""

import keras

from keras_mim._checks import check
from keras_mim._checks import is_number


def checked_scales(scales):
    """Returns learning-rate scales as a list of float; `None` stays."""
    if scales is None:
        return None
    right = isinstance(scales, (tuple, list))
    right = right and all(is_number(x) and x >= 0 for x in scales)
    expected = "non-negative numbers, or None"
    check(right, "learning_rate_scales", scales, expected)
    return [float(scale) for scale in scales]


def checked_rate(learning_rate):
    """Returns a learning rate as Keras takes it: a float, or what gives one."""
    schedule = keras.optimizers.schedules.LearningRateSchedule
    if isinstance(learning_rate, schedule) or callable(learning_rate):
        return learning_rate
    right = is_number(learning_rate) and learning_rate >= 0
    expected = "a number in [0, inf), or a schedule"
    check(right, "learning_rate", learning_rate, expected)
    return float(learning_rate)


def check_number(name, values, variables):
    """Raises if there is not one value per variable; `None` passes."""
    if values is not None and len(values) != len(variables):
        raise ValueError(
            f"`{name}` must hold one value for each of the "
            f"{len(variables)} trainable weights. "
            f"Received: {len(values)} values"
        )
