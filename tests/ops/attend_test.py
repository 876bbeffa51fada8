import numpy as np
from keras import ops

from keras_mim.ops import attend
from keras_mim.ops import mean_of_values
from tests import reference
from tests.test_case import TestCase


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


class AttendTest(TestCase):
    def test_equals_attention_in_numpy(self):
        x, bias = draw(2, 5, 3, 4, 6), draw(1, 4, 5, 5)
        query, key, value = np.moveaxis(x, (2, 3), (0, 2))
        logits = query @ key.swapaxes(-1, -2) / 6**0.5
        for given in (None, bias):
            weights = reference.softmax(logits + (0 if given is None else bias))
            expected = np.moveaxis(weights @ value, 1, 2)
            output = attend(ops.convert_to_tensor(x), given)
            # Sums of thirty rounded products.
            self.assertAllClose(output, expected, 1e-5, 1e-5)

    def test_mean_of_values_with_logits_that_overflow(self):
        logits = draw(2, 3, 5) * 1000
        value = draw(2, 5, 4)
        expected = reference.softmax(logits) @ value
        output = mean_of_values(
            ops.convert_to_tensor(logits), ops.convert_to_tensor(value)
        )
        self.assertAllClose(output, expected, 1e-5, 1e-5)

    def test_mean_of_values_is_exact_in_half_precision(self):
        # Of equal values any mean is that value; 1000 weights of 1/1000 that
        # were added up in bfloat16 would miss it.
        logits = ops.zeros((1, 2, 1000), "bfloat16")
        value = ops.ones((1, 1000, 4), "bfloat16")
        output = mean_of_values(logits, value)
        self.assertEqual(output.dtype, value.dtype)
        # A weight of 1/1000 is rounded by up to 2 ** -9 of itself.
        self.assertAllClose(
            ops.cast(output, "float32"), np.ones((1, 2, 4)), 0.004
        )
