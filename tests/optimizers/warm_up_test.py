import json
import math

import keras
import numpy as np

from keras_mim.optimizers import WarmUp
from tests.test_case import TestCase

schedules = keras.optimizers.schedules


def make():
    return WarmUp(schedules.CosineDecay(8.0, 100, alpha=0.05), 10, 1.0)


class WarmUpTest(TestCase):
    def rates(self, schedule, steps):
        return np.array([float(schedule(step)) for step in steps])

    def test_a_line_and_then_timms_cosine(self):
        # timm: at t of T, whether or not some of t was warm-up.
        steps = np.arange(101)
        cosine = 0.4 + 0.5 * (8 - 0.4) * (1 + np.cos(math.pi * steps / 100))
        expected = np.where(steps < 10, 1 + (8 - 1) * steps / 10, cosine)
        self.assertAllClose(self.rates(make(), steps), expected, 1e-5)

    def test_a_constant_and_steps(self):
        rates = self.rates(WarmUp(2.0, 4), (0, 1, 4, 9))
        self.assertAllClose(rates, [0, 0.5, 2, 2])
        rates = self.rates(WarmUp(2.0, 0, 5.0), (0, 9))
        self.assertAllClose(rates, [2, 2])
        steps = schedules.PiecewiseConstantDecay([6], [1.0, 0.1])
        rates = self.rates(WarmUp(steps, 2), (0, 1, 2, 6, 7))
        self.assertAllClose(rates, [0, 0.5, 1, 1, 0.1])

    def test_in_an_optimizer_and_saved(self):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(make()), "mse")
        model.fit(np.ones((4, 2)), np.ones((4, 1)), batch_size=1, verbose=0)
        # The rate of the next step, the fifth.
        rate = self.to_numpy(model.optimizer.learning_rate)
        self.assertAllClose(rate, 1 + 0.7 * 4, 1e-5)
        path = self.temp_dir() / "model.keras"
        model.save(path)
        again = keras.saving.load_model(path).optimizer.learning_rate
        self.assertAllClose(again, rate)
        config = json.loads(json.dumps(make().get_config()))
        again = WarmUp.from_config(config)
        self.assertAllClose(again(50), make()(50))

    def test_negative_steps(self):
        with self.assertRaisesRegex(ValueError, "warmup_steps=-1"):
            WarmUp(1.0, -1)
