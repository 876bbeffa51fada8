import json

import keras
import numpy as np

from keras_mim.optimizers import LARS
from tests.test_case import TestCase

RATE, DECAY, STEPS = 0.5, 0.1, 5
SHAPES = (3, 2), (4,), (2, 2)


def values(seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in SHAPES]


def lars(value, steps, rates):
    """The definition, in NumPy."""
    momentum = 0
    for gradient, rate in zip(steps, rates, strict=True):
        if value.ndim > 1:
            gradient = gradient + DECAY * value
            norms = np.linalg.norm(value), np.linalg.norm(gradient)
            if all(norms):
                gradient = gradient * 0.001 * norms[0] / norms[1]
        momentum = 0.9 * momentum + gradient
        value = value - rate * momentum
    return value


class LARSTest(TestCase):
    def run_steps(self, optimizer, first, steps):
        variables = [keras.Variable(value) for value in first]
        for step in steps:
            step = [keras.ops.convert_to_tensor(g) for g in step]
            optimizer.apply(step, variables)
        return [self.to_numpy(v) for v in variables]

    def check(self, first, steps):
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
            [1], [RATE, RATE / 5]
        )
        rates = [self.to_numpy(schedule(i)) for i in range(len(steps))]
        found = self.run_steps(LARS(schedule, DECAY), first, steps)
        for i, value in enumerate(first):
            expected = lars(value, [step[i] for step in steps], rates)
            self.assertAllClose(found[i], expected)
            self.assertTrue(np.any(found[i] != value))

    def test_equals_its_definition_under_a_schedule(self):
        self.check(values(0), [values(i + 1) for i in range(STEPS)])

    def test_starts_from_zero_and_from_no_gradient(self):
        steps = [values(i + 1) for i in range(STEPS)]
        first = [np.zeros_like(value) for value in values(0)]
        self.check(first, steps)
        for gradient in steps[0]:
            gradient[:] = 0
        self.check(values(0), steps)

    def test_a_weights_scale_multiplies_its_learning_rate(self):
        steps = [values(i + 1) for i in range(STEPS)]
        scales = [0.5, 2.0, 0.0]
        optimizer = LARS(RATE, DECAY, learning_rate_scales=scales)
        found = self.run_steps(optimizer, values(0), steps)
        for i, (value, scale) in enumerate(zip(values(0), scales)):
            rates = [RATE * scale] * STEPS
            expected = lars(value, [step[i] for step in steps], rates)
            self.assertAllClose(found[i], expected)

    def test_survives_its_configuration_and_saving(self):
        optimizer = LARS(0.3, 0.2, 0.8, 0.01, [1, 0.5], name="mine")
        config = json.loads(json.dumps(optimizer.get_config()))
        again = LARS.from_config(config)
        self.assertEqual(again.get_config(), optimizer.get_config())
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.compile(optimizer, "mse")
        x, y = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
        model.fit(x, y, verbose=0)
        path = self.temp_dir() / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
        for each in (model, loaded):
            each.fit(x, y, verbose=0)
        for own, theirs in zip(model.weights, loaded.weights, strict=True):
            self.assertAllEqual(own, theirs)

    def test_refuses_what_makes_no_sense(self):
        for name in ("momentum", "trust_coefficient"):
            with self.assertRaisesRegex(
                ValueError, f"`{name}` must be a number in"
            ):
                LARS(**{name: -1.0})
        with self.assertRaisesRegex(ValueError, "non-negative numbers.*-1"):
            LARS(learning_rate_scales=[1, -1])
        with self.assertRaisesRegex(ValueError, "3 trainable.* 2 values"):
            self.run_steps(
                LARS(learning_rate_scales=[1, 1]), values(0), [values(1)]
            )
