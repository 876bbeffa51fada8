import keras
from keras import ops

from keras_mim._checks import check_counts
from keras_mim._checks import check_numbers


@keras.saving.register_keras_serializable(package="keras_mim")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Rises to a schedule's rate in a straight line, then follows it.

    The schedule runs from step 0, so that it has already moved when the line
    meets it: as in timm, which SimMIM trains with, whose cosine counts the
    warm-up. (Keras's `CosineDecay` with `warmup_steps` starts its cosine after
    the warm-up, as MAE's does.)

    Reference: timm's `Scheduler` with `warmup_prefix=False`: the line goes to
    the schedule's first rate, and is left at `warmup_steps`.

    Args:
        schedule: A schedule or a float. What to follow.
        warmup_steps: int. Number of steps of the line.
        initial_learning_rate: float. Rate at step 0. Defaults to `0.0`.

    Example:

    >>> cosine = keras.optimizers.schedules.CosineDecay(8e-4, 62500, 0.05)
    >>> rate = keras_mim.optimizers.WarmUp(cosine, 6250, 4e-6)
    >>> optimizer = keras.optimizers.AdamW(rate)
    """

    def __init__(self, schedule, warmup_steps, initial_learning_rate=0.0):
        super().__init__()
        if not isinstance(
            schedule, keras.optimizers.schedules.LearningRateSchedule
        ):
            check_numbers("[0, inf)", schedule=schedule)
        check_counts(least=0, warmup_steps=warmup_steps)
        check_numbers("[0, inf)", initial_learning_rate=initial_learning_rate)
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.initial_learning_rate = initial_learning_rate

    def _rate(self, step):
        if isinstance(
            self.schedule, keras.optimizers.schedules.LearningRateSchedule
        ):
            return ops.cast(self.schedule(step), "float32")
        return ops.cast(self.schedule, "float32")

    def __call__(self, step):
        if self.warmup_steps == 0:
            return self._rate(step)
        done = ops.cast(step, "float32") / self.warmup_steps
        start = self.initial_learning_rate
        line = start + (self._rate(0) - start) * done
        return ops.where(done < 1, line, self._rate(step))

    def get_config(self):
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "warmup_steps": self.warmup_steps,
            "initial_learning_rate": self.initial_learning_rate,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["schedule"] = keras.saving.deserialize_keras_object(
            config["schedule"]
        )
        return cls(**config)
