import math

import numpy as np
from keras import ops

from keras_mim.ops import gelu
from tests.test_case import TestCase


def exact(x):
    return [0.5 * v * math.erfc(-v * 0.5**0.5) for v in x.tolist()]


class GELUTest(TestCase):
    def test_equals_the_error_function(self):
        x = np.linspace(-8, 8, 401, dtype="float32")
        # As close as float32 is at 1 + erf(x) for x below 0, times x.
        self.assertAllClose(
            gelu(ops.convert_to_tensor(x)), exact(x), 1e-6, 1e-6
        )

    def test_small_results_keep_their_digits_in_half_precision(self):
        x = ops.cast(np.linspace(-3, 3, 25), "bfloat16")
        output = gelu(x)
        self.assertEqual(output.dtype, x.dtype)
        expected = exact(ops.convert_to_numpy(ops.cast(x, "float32")))
        # bfloat16 has eight digits.
        self.assertAllClose(ops.cast(output, "float32"), expected, 2**-8, 0)
