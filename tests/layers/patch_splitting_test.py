import numpy as np

from keras_mim.layers import PatchMerging
from keras_mim.layers import PatchSplitting
from tests import reference
from tests.test_case import TestCase

TOKENS = np.random.default_rng(1).normal(size=(2, 6, 8)).astype("float32")


def in_numpy(tokens, grid, w):
    """Splits token by token."""
    height, width = grid
    dim = tokens.shape[-1] // 2
    maps = np.zeros((len(tokens), 2 * height, 2 * width, dim))
    for row in range(height):
        for column in range(width):
            x = tokens[:, row * width + column] @ w["expansion/kernel"]
            parts = np.split(x, 4, axis=-1)
            places = ((0, 0), (1, 0), (0, 1), (1, 1))
            for part, (i, j) in zip(parts, places):
                part = part - part.mean(axis=-1, keepdims=True)
                std = np.sqrt(part.var(axis=-1, keepdims=True) + 1e-5)
                part = part / std * w["norm/gamma"] + w["norm/beta"]
                maps[:, 2 * row + i, 2 * column + j] = part
    return maps.reshape(len(tokens), -1, dim)


class PatchSplittingTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            PatchSplitting,
            {"grid": (2, 3)},
            inputs=[TOKENS],
            expected_shape=(2, 24, 4),
            expected_dtype="float32",
            num_weights=3,
        )

    def test_equals_splitting_token_by_token(self):
        for grid in ((2, 3), (1, 6), (3, 1)):
            num_tokens = grid[0] * grid[1]
            layer = PatchSplitting(grid)
            layer.build((None, num_tokens, 8))
            reference.randomise(layer)
            # Small tokens, so that the norm's epsilon shows.
            tokens = 0.01 * TOKENS[:, :num_tokens]
            expected = in_numpy(tokens, grid, reference.weights(layer))
            self.assertAllClose(layer(tokens), expected, 1e-5, 1e-5)

    def test_undoes_the_order_of_merging(self):
        # Both maps select, and both norms see the same four tokens' values:
        # merging keeps the first half of what it joins, splitting gives it
        # back, and the other half is empty.
        fine = np.random.default_rng(2).normal(size=(2, 24, 4))
        fine = fine - fine.mean(axis=-1, keepdims=True)
        fine = fine / np.sqrt(fine.var(axis=-1, keepdims=True))
        fine = fine.astype("float32")
        merging, splitting = PatchMerging((4, 6)), PatchSplitting((2, 3))
        merging.build((None, 24, 4))
        splitting.build((None, 6, 8))
        merging.reduction.kernel.assign(np.eye(16, 8))
        splitting.expansion.kernel.assign(np.eye(8, 16))
        output = self.to_numpy(splitting(merging(fine)))
        fine = fine.reshape(2, 4, 6, 4)
        output = output.reshape(2, 4, 6, 4)
        # The left column of each cell is the first half. Epsilon, added three
        # times to variances of 1, makes the difference.
        self.assertAllClose(output[:, :, 0::2], fine[:, :, 0::2], atol=1e-4)
        self.assertAllEqual(output[:, :, 1::2], np.zeros((2, 4, 3, 4)))

    def test_output_grid(self):
        self.assertEqual(PatchSplitting((2, 3)).output_grid, (4, 6))

    def test_initial_weights(self):
        layer = PatchSplitting((1, 1))
        layer.build((None, 1, 128))
        kernel = self.to_numpy(layer.expansion.kernel)
        # Of 32,768 values, the deviation is within 2 % at five sigma.
        self.assertAllClose(kernel.std(), 0.02, rtol=0.02, atol=0)

    def test_tokens_that_do_not_fit(self):
        with self.assertRaisesRegex(ValueError, r"grid=\(2, 4\)"):
            PatchSplitting((2, 4)).build((None, 6, 8))
        with self.assertRaisesRegex(ValueError, r"\(None, 6, 7\)"):
            PatchSplitting((2, 3)).build((None, 6, 7))
