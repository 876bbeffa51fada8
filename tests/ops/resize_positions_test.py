import math

import numpy as np
import pytest

from keras_mim import ops
from tests.test_case import TestCase

# Growing and shrinking, down to one row, square and not.
SIZES = [(1, 1), (3, 8), (6, 4), (7, 5), (12, 25)]


def random_table(height, width, dim=2, dtype="float32"):
    # Position tables stay within [-1, 1]: sine-cosine ones by definition,
    # trained ones because they start from a standard deviation of 0.02.
    rng = np.random.default_rng(height * 100 + width)
    return rng.uniform(-1, 1, (height, width, dim)).astype(dtype)


def torch_resize(table, size):
    torch = pytest.importorskip("torch")
    images = torch.from_numpy(table).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(
        images, size=size, mode="bicubic", align_corners=False
    )
    return resized[0].permute(1, 2, 0).numpy()


def taps(index, old, new):
    """Four (index, weight) pairs, from Keys's polynomials of the fraction."""
    a = -0.75
    position = ((2 * index + 1) * old / new - 1) / 2
    first = math.floor(position)
    t = position - first
    weights = (
        a * t**3 - 2 * a * t**2 + a * t,
        (a + 2) * t**3 - (a + 3) * t**2 + 1,
        -(a + 2) * t**3 + (2 * a + 3) * t**2 - a * t,
        -a * t**3 + a * t**2,
    )
    return [
        (min(max(first - 1 + k, 0), old - 1), weight)
        for k, weight in enumerate(weights)
    ]


def direct_resize(table, size):
    """The sixteen taps of every output pixel, one by one."""
    height, width, dim = table.shape
    output = np.zeros((*size, dim))
    for i in range(size[0]):
        for j in range(size[1]):
            for row, row_weight in taps(i, height, size[0]):
                for column, column_weight in taps(j, width, size[1]):
                    value = table[row, column].astype("float64")
                    output[i, j] += row_weight * column_weight * value
    return output


class ResizePositionsTest(TestCase):
    def assert_close_to_torch(self, table, size):
        # Of the largest value: torch has its places in float32, ours in
        # float64, so they are some 1e-6 of a patch apart.
        self.assertAllClose(
            ops.resize_bicubic(table, size),
            torch_resize(table, size),
            rtol=0,
            atol=1e-5 * np.abs(table).max(),
        )

    def check_against_torch(self, table, size):
        resized = ops.resize_bicubic(table, size)
        # Torch rounds the places it samples at to the table's dtype. In
        # float32 that moves values by up to 9e-6 where neighbours are -1 and
        # 1; in float64 only the cast of the result is left.
        self.assertAllClose(resized, torch_resize(table, size), 0, 1e-5)
        exact = torch_resize(table.astype("float64"), size)
        self.assertAllClose(resized, exact, 1e-7, 1e-12)

    def test_every_square_pair_agrees_with_torch(self):
        for old in range(7, 31):
            table = random_table(old, old)
            for new in range(7, 31):
                self.check_against_torch(table, (new, new))

    def test_other_pairs_agree_with_torch(self):
        rng = np.random.default_rng(0)
        for height, width, *size in rng.integers(7, 31, (400, 4)).tolist():
            self.check_against_torch(random_table(height, width), tuple(size))

    def test_small_grids_agree_with_torch(self):
        for old in SIZES:
            for new in SIZES:
                self.check_against_torch(random_table(*old), new)

    def test_it_is_the_sum_over_sixteen_taps(self):
        for old in SIZES:
            table = random_table(*old)
            for new in SIZES:
                # The final cast to float32.
                self.assertAllClose(
                    ops.resize_bicubic(table, new),
                    direct_resize(table, new),
                    rtol=1e-7,
                    atol=1e-12,
                )

    def test_golden_weights(self):
        # Halving four values samples midway between two of them, where the
        # kernel is -3/32, 19/32, 19/32, -3/32; the first value repeats.
        weights = ops.resize_bicubic(np.eye(4)[:, None], (2, 1))[:, 0]
        self.assertAllEqual(weights * 32, [[16, 19, -3, 0], [0, -3, 19, 16]])

    def test_the_same_size_keeps_the_values(self):
        for size in ((1, 1), (7, 12), (30, 30)):
            table = random_table(*size)
            self.assertAllEqual(ops.resize_bicubic(table, size), table)

    def test_an_axis_of_the_same_size_keeps_its_values(self):
        # What does not vary along the other axis must come out as it went in.
        table = np.repeat(random_table(7, 1), 5, axis=1)
        resized = ops.resize_bicubic(table, (7, 9))
        self.assertAllClose(resized, np.repeat(table[:, :1], 9, axis=1))

    def test_constants_stay_constant(self):
        table = np.broadcast_to(np.float32([1, -2.5, 1e-3]), (7, 9, 3))
        for size in SIZES:
            self.assertAllClose(
                ops.resize_bicubic(table, size),
                np.broadcast_to(table[0, 0], (*size, 3)),
            )

    def test_one_axis_after_the_other_is_both_at_once(self):
        table = random_table(7, 9)
        steps = ops.resize_bicubic(table, (7, 20))
        steps = ops.resize_bicubic(steps, (12, 20))
        self.assertAllClose(ops.resize_bicubic(table, (12, 20)), steps)

    def test_turned_and_mirrored_tables_give_turned_and_mirrored_ones(self):
        table = random_table(7, 9)
        resized = ops.resize_bicubic(table, (12, 5))
        turned = ops.resize_bicubic(table.swapaxes(0, 1), (5, 12))
        self.assertAllClose(turned.swapaxes(0, 1), resized)
        mirrored = ops.resize_bicubic(table[::-1, ::-1], (12, 5))
        self.assertAllClose(mirrored[::-1, ::-1], resized)

    def test_the_result_is_float32(self):
        for dtype in ("float16", "float32", "float64"):
            table = random_table(3, 4, dtype=dtype)
            for size in ((3, 4), (5, 6)):
                resized = ops.resize_bicubic(table, size)
                self.assertEqual(resized.dtype, "float32")
                self.assertEqual(resized.shape, (*size, 2))

    def test_the_given_table_is_left_alone(self):
        table = random_table(7, 7)
        before = table.copy()
        for size in ((7, 7), (14, 14)):
            ops.resize_bicubic(table, size)[:] = 0
            self.assertAllEqual(table, before)

    def test_table_without_a_grid(self):
        for shape in ((49, 8), (1, 7, 7, 8), (0, 7, 8)):
            with self.assertRaisesRegex(
                ValueError, rf"Received: table.*\({shape[0]}, "
            ):
                ops.resize_bicubic(np.zeros(shape), (7, 7))

    def test_size_that_is_not_two_positive_integers(self):
        for size in ((7,), (7, 0), (-1, 7), (7.0, 7), (7, 7, 8)):
            with self.assertRaisesRegex(
                ValueError, rf"Received: size=\({size[0]}"
            ):
                ops.resize_bicubic(np.zeros((4, 4, 2)), size)
