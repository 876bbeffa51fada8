import sys
import unittest.mock

import numpy as np
import pytest

from keras_mim import ops
from tests.test_case import TestCase

interpolate = pytest.importorskip("scipy.interpolate")
optimize = pytest.importorskip("scipy.optimize")


def random_table(window, num_heads=3):
    num_offsets = (2 * window[0] - 1) * (2 * window[1] - 1)
    rng = np.random.default_rng(window[0] * 100 + window[1])
    return rng.normal(size=(num_offsets, num_heads)).astype("float32")


def places(old, new):
    """Where the old offsets lie, with the ratio from a root finder."""

    def too_far(q):
        return sum(q**i for i in range(old - 1)) - (new - 1)

    if too_far(1.01) > 0:
        q = 1.01
    elif too_far(1.5) < 0:
        q = 1.5
    else:
        q = optimize.brentq(too_far, 1.01, 1.5)
    half = [sum(q**i for i in range(n)) for n in range(old)]
    return np.array([-x for x in half[:0:-1]] + half)


def resize(table, old, new):
    """The rule by SciPy's two-dimensional spline, head by head."""
    grid = table.reshape(2 * old[0] - 1, 2 * old[1] - 1, -1).astype("float64")
    y, x = places(old[0], new[0]), places(old[1], new[1])
    rows = np.arange(1 - new[0], new[0]).clip(y[0], y[-1])
    columns = np.arange(1 - new[1], new[1]).clip(x[0], x[-1])
    heads = [
        interpolate.RectBivariateSpline(y, x, grid[..., head], s=0)(
            rows, columns
        )
        for head in range(grid.shape[-1])
    ]
    return np.stack(heads, axis=-1).reshape(-1, grid.shape[-1])


class ResizeRelativePositionsTest(TestCase):
    def test_equals_a_two_dimensional_spline(self):
        pairs = [((n, n), (m, m)) for n in (6, 7, 12, 14) for m in range(4, 31)]
        pairs += [((6, 12), (9, 14)), ((7, 4), (12, 12)), ((14, 7), (10, 24))]
        for old, new in pairs:
            if old[0] == new[0] or old[1] == new[1]:
                continue
            table = random_table(old)
            # The ratio is found to 1e-6; distances are sums of its powers.
            self.assertAllClose(
                ops.resize_relative_positions(table, old, new),
                resize(table, old, new),
                rtol=0,
                atol=1e-3,
            )

    def test_golden_values(self):
        # From the published rule with the `interp2d` of SciPy 1.13.1: the
        # third row's last four values, and the sum of the absolute values.
        # They hold the published search to its last step.
        for old, new, values, total in (
            (7, 12, [-0.1958608294, 0.1763697148, 0.5241232018, 0.7981696339],
             337.7354084140),
            (7, 24, [0.4945417936, 0.5646424734, 0.5646424734, 0.5646424734],
             1383.2519717397),
            (12, 7, [-0.8859373403, -0.4053117230, 0.4209309125, 0.9952492126],
             107.5722471188),
        ):  # fmt: skip
            row, column = np.indices((2 * old - 1, 2 * old - 1)) - (old - 1)
            table = np.sin(0.5 * row + 0.1 * column**2).reshape(-1, 1)
            resized = ops.resize_relative_positions(
                table, (old, old), (new, new)
            )
            resized = resized.reshape(2 * new - 1, -1).astype("float64")
            # The final cast to float32.
            self.assertAllClose(resized[2, -4:], values, 2e-7, 0)
            self.assertAllClose(np.abs(resized).sum(), total, 1e-7, 0)

    def test_shrinking_cuts_far_offsets_off(self):
        row, column = np.indices((27, 27)) - 13
        table = (row + 100 * column).reshape(-1, 1)
        resized = ops.resize_relative_positions(table, (14, 14), (7, 7))
        row, column = np.indices((13, 13)) - 6
        # Offset 6 gets the bias of 5.85: q is 1.01, not 1.
        self.assertAllClose(
            resized, (row + 100 * column).reshape(-1, 1), 0, 0.15 * 101
        )
        self.assertAllClose(resized[-1], [5.854 * 101], 1e-3, 0)

    def test_published_ratio_for_windows_of_six_to_twelve(self):
        # q solves 1 + q + ... + q ** 4 = 11.
        source = places(6, 12)
        self.assertAllClose(source[-1], 11.0)
        # A table that is linear in the places comes out linear in offsets.
        table = np.repeat(source[:, None], 11, axis=1).reshape(-1, 1)
        resized = ops.resize_relative_positions(table, (6, 6), (12, 12))
        expected = np.repeat(np.arange(-11.0, 12)[:, None], 23, axis=1)
        # The published search stops within 1e-6 of the ratio.
        self.assertAllClose(resized, expected.reshape(-1, 1), 0, 1e-4)

    def test_nearest_offsets_keep_their_biases(self):
        table = random_table((6, 6)).reshape(11, 11, 3)
        resized = ops.resize_relative_positions(
            table.reshape(-1, 3), (6, 6), (12, 12)
        ).reshape(23, 23, 3)
        self.assertAllClose(resized[10:13, 10:13], table[4:7, 4:7], 1e-5, 1e-5)

    def test_mirrored_tables_give_mirrored_ones(self):
        table = random_table((5, 8))
        resized = ops.resize_relative_positions(table, (5, 8), (9, 11))
        mirrored = ops.resize_relative_positions(table[::-1], (5, 8), (9, 11))
        self.assertAllClose(mirrored[::-1], resized, 1e-5, 1e-5)

    def test_turned_tables_give_turned_ones(self):
        table = random_table((7, 5))
        turned = table.reshape(13, 9, 3).swapaxes(0, 1).reshape(-1, 3)
        resized = ops.resize_relative_positions(table, (7, 5), (12, 4))
        turned = ops.resize_relative_positions(turned, (5, 7), (4, 12))
        turned = turned.reshape(7, 23, 3).swapaxes(0, 1).reshape(-1, 3)
        self.assertAllClose(turned, resized, 1e-5, 1e-5)

    def test_equal_windows_and_axes(self):
        table = random_table((5, 7))
        self.assertAllEqual(
            ops.resize_relative_positions(table, (5, 7), (5, 7)), table
        )
        # What does not vary along the other axis comes out as it went in.
        column = random_table((5, 1))
        table = np.repeat(column.reshape(9, 1, 3), 13, axis=1).reshape(-1, 3)
        resized = ops.resize_relative_positions(table, (5, 7), (5, 9))
        expected = np.repeat(column.reshape(9, 1, 3), 17, axis=1)
        self.assertAllClose(resized, expected.reshape(-1, 3), 1e-5, 1e-5)

    def test_small_windows(self):
        for old in ((1, 1), (2, 2), (1, 5), (2, 3)):
            resized = ops.resize_relative_positions(
                np.full_like(random_table(old), 0.5), old, (6, 7)
            )
            self.assertEqual(resized.shape, (11 * 13, 3))
            self.assertAllClose(resized, np.full((143, 3), 0.5))

    def test_windows_of_one_and_two_repeat_their_border(self):
        table = random_table((1, 3))
        resized = ops.resize_relative_positions(table, (1, 3), (4, 3))
        self.assertAllEqual(resized, np.tile(table, (7, 1)))
        table = random_table((2, 2))
        resized = ops.resize_relative_positions(table, (2, 2), (3, 3))
        expected = np.pad(
            table.reshape(3, 3, 3), [(1, 1), (1, 1), (0, 0)], "edge"
        )
        self.assertAllClose(resized, expected.reshape(-1, 3), 1e-5, 1e-5)

    def test_a_new_window_of_one_keeps_the_centre(self):
        table = random_table((5, 5))
        resized = ops.resize_relative_positions(table, (5, 5), (1, 1))
        self.assertAllClose(resized, table[40:41])

    def test_the_result_is_float32_and_not_the_table(self):
        for dtype in ("float16", "float32", "float64"):
            table = random_table((3, 4)).astype(dtype)
            before = table.copy()
            for window, num_offsets in (((3, 4), 35), ((5, 4), 63)):
                resized = ops.resize_relative_positions(table, (3, 4), window)
                self.assertEqual(resized.dtype, "float32")
                self.assertEqual(resized.shape, (num_offsets, 3))
                resized[:] = 0
                self.assertAllEqual(table, before)

    def test_growing_beyond_the_largest_ratio_repeats_the_last_bias(self):
        table = random_table((3, 3)).reshape(5, 5, 3)
        resized = ops.resize_relative_positions(
            table.reshape(-1, 3), (3, 3), (8, 8)
        ).reshape(15, 15, 3)
        # 1 + 1.5 reaches 2.5, so offsets from 3 on are beyond.
        self.assertAllClose(resized[0, 0], table[0, 0], 1e-5, 1e-5)
        self.assertAllClose(resized[-5, -1], table[-1, -1], 1e-5, 1e-5)

    def test_wrong_arguments(self):
        table = random_table((3, 3))
        with self.assertRaisesRegex(ValueError, r"table.shape=\(25, 3\)"):
            ops.resize_relative_positions(table, (4, 3), (5, 5))
        with self.assertRaisesRegex(ValueError, r"without rows for a class"):
            ops.resize_relative_positions(np.zeros((28, 3)), (3, 3), (5, 5))
        with self.assertRaisesRegex(ValueError, r"new_window=\(0, 5\)"):
            ops.resize_relative_positions(table, (3, 3), (0, 5))
        with self.assertRaisesRegex(ValueError, r"old_window=\(3,\)"):
            ops.resize_relative_positions(table, (3,), (5, 5))

    def test_without_scipy_the_error_names_the_extra(self):
        table = random_table((3, 3))
        with unittest.mock.patch.dict(sys.modules, {"scipy": None}):
            # Equal windows need no spline.
            ops.resize_relative_positions(table, (3, 3), (3, 3))
            with self.assertRaisesRegex(ImportError, r"keras-mim\[convert\]"):
                ops.resize_relative_positions(table, (3, 3), (5, 5))
