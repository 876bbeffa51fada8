import numpy as np

from keras_mim import ops
from tests.test_case import TestCase


class SineCosineTest(TestCase):
    def test_golden_rows(self):
        table = ops.sine_cosine_positions((2, 3), 8)
        self.assertEqual(table.shape, (6, 8))
        # Rounded as the golden values are: six digits.
        self.assertAllClose(
            table[1],
            [0.841471, 0.01, 0.540302, 0.99995, 0, 0, 1, 1],
            atol=1e-6,
        )
        self.assertAllClose(
            table[3],
            [0, 0, 1, 1, 0.841471, 0.01, 0.540302, 0.99995],
            atol=1e-6,
        )

    def test_golden_sums(self):
        for hidden_dim, total, absolute in (
            (768, 69594.493859, 84118.4157),
            (512, 46340.333103, 56094.4886),
        ):
            table = ops.sine_cosine_positions((14, 14), hidden_dim)
            table = table.astype("float64")
            # Float32 entries, 1e5 of them: the sums agree to 1e-6 relative.
            self.assertAllClose(table.sum(), total, rtol=1e-6, atol=0)
            self.assertAllClose(
                np.abs(table).sum(), absolute, rtol=1e-6, atol=0
            )

    def test_prefix_tokens_are_zero(self):
        table = ops.sine_cosine_positions((2, 3), 8, num_prefix_tokens=2)
        self.assertEqual(table.shape, (8, 8))
        self.assertAllEqual(table[:2], np.zeros((2, 8)))
        self.assertAllEqual(table[2:], ops.sine_cosine_positions((2, 3), 8))

    def test_hidden_dim_not_divisible_by_four(self):
        with self.assertRaisesRegex(ValueError, "Received: hidden_dim=10"):
            ops.sine_cosine_positions((2, 2), 10)
