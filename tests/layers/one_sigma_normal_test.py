import json
import math

import keras
import numpy as np

from keras_mim.layers import OneSigmaNormal
from tests.test_case import TestCase

SHAPE = (1000, 400)
COUNT = 400_000


def moments():
    """Second and fourth moment of a standard normal cut at -1 and 1."""
    inside = math.erf(0.5**0.5)
    edge = 2 * math.exp(-0.5) / (2 * math.pi) ** 0.5 / inside
    return 1 - edge, 3 * (1 - edge) - edge


class OneSigmaNormalTest(TestCase):
    def draw(self, **arguments):
        return self.to_numpy(OneSigmaNormal(**arguments)(SHAPE))

    def test_moments_are_those_of_the_cut_distribution(self):
        second, fourth = moments()
        self.assertAllClose(second**0.5, 0.5396, 1e-4, 0)
        values = self.draw(stddev=0.02).astype("float64") / 0.02
        # Five standard errors each, of the mean and of the two moments.
        error = 5 / COUNT**0.5
        self.assertAllClose(values.mean(), 0, 0, error * second**0.5)
        deviation = (fourth - second**2) ** 0.5
        self.assertAllClose((values**2).mean(), second, 0, error * deviation)
        # No more than 1, and so not more than that in its deviation.
        self.assertAllClose((values**4).mean(), fourth, 0, error)

    def test_distribution_function(self):
        values = np.sort(self.draw(stddev=3.0).ravel().astype("float64") / 3)
        inside = math.erf(0.5**0.5)
        expected = np.vectorize(math.erf)(values / 2**0.5) / inside / 2 + 0.5
        found = (np.arange(COUNT) + 0.5) / COUNT
        # Kolmogorov's test, failing one time in a million.
        np.testing.assert_array_less(
            np.abs(found - expected).max(), 2.7 / COUNT**0.5
        )

    def test_no_value_is_beyond_the_deviation(self):
        values = np.abs(self.draw(stddev=0.02))
        # Float32: 0.02 itself may be rounded up.
        self.assertLessEqual(values.max(), np.float32(0.02))
        # The density at the edge is 0.71: all of the values stay below this
        # one time in a million.
        self.assertGreater(values.max(), 0.02 * (1 - 20 / COUNT))

    def test_deviation_of_zero(self):
        self.assertAllEqual(self.draw(stddev=0.0), np.zeros(SHAPE))

    def test_seeds(self):
        self.assertAllEqual(self.draw(seed=3), self.draw(seed=3))
        self.assertTrue((self.draw(seed=3) != self.draw(seed=4)).any())
        self.assertTrue((self.draw() != self.draw()).any())
        keras.utils.set_random_seed(1)
        values = self.draw()
        keras.utils.set_random_seed(1)
        self.assertAllEqual(self.draw(), values)
        moving = OneSigmaNormal(seed=keras.random.SeedGenerator(0))
        one, other = (self.to_numpy(moving(SHAPE)) for _ in range(2))
        self.assertTrue((one != other).any())

    def test_configuration(self):
        for arguments in ({}, {"stddev": 0.1, "seed": 7}):
            config = keras.initializers.serialize(OneSigmaNormal(**arguments))
            config = json.loads(json.dumps(config))
            again = keras.initializers.get(config)
            self.assertIsInstance(again, OneSigmaNormal)
            self.assertEqual(keras.initializers.serialize(again), config)
        self.assertAllEqual(again(SHAPE), self.draw(**arguments))

    def test_other_dtypes(self):
        for dtype in ("float16", "bfloat16"):
            values = OneSigmaNormal(seed=0)(SHAPE, dtype=dtype)
            self.assertEqual(
                keras.backend.standardize_dtype(values.dtype), dtype
            )
            # Eight bits: 2 ** -9 off, 0.02 itself included.
            values = self.to_numpy(keras.ops.cast(values, "float32"))
            self.assertAllClose(values, self.draw(seed=0), 2**-8, 1e-7)

    def test_negative_deviation(self):
        with self.assertRaisesRegex(ValueError, "Received: stddev=-0.02"):
            OneSigmaNormal(-0.02)
