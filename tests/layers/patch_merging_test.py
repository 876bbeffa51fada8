import numpy as np

from keras_mim.layers import PatchMerging
from tests import reference
from tests.test_case import TestCase

TOKENS = np.random.default_rng(0).normal(size=(2, 15, 4)).astype("float32")


def in_numpy(tokens, grid, w, norm_last):
    """Merges cell by cell; beyond the map there are zeros."""
    height, width = grid
    maps = np.zeros((len(tokens), height + 1, width + 1, tokens.shape[-1]))
    maps[:, :height, :width] = tokens.reshape(-1, height, width, maps.shape[-1])
    merged = []
    for row in range(0, height, 2):
        for column in range(0, width, 2):
            x = np.concatenate(
                [
                    maps[:, row, column],
                    maps[:, row + 1, column],
                    maps[:, row, column + 1],
                    maps[:, row + 1, column + 1],
                ],
                axis=-1,
            )
            if not norm_last:
                x = layer_norm(x, w)
            x = x @ w["reduction/kernel"]
            merged.append(layer_norm(x, w) if norm_last else x)
    return np.stack(merged, axis=1)


def layer_norm(x, w):
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return x * w["norm/gamma"] + w["norm/beta"]


class PatchMergingTest(TestCase):
    def test_layer_basics(self):
        for norm_last in (False, True):
            self.run_layer_test(
                PatchMerging,
                {"grid": (3, 5), "norm_last": norm_last},
                inputs=[TOKENS],
                expected_shape=(2, 6, 8),
                expected_dtype="float32",
                num_weights=3,
            )

    def test_equals_merging_cell_by_cell(self):
        for grid, norm_last in (
            ((2, 6), False),
            ((3, 5), False),
            ((3, 5), True),
            ((4, 3), True),
            ((1, 12), False),
        ):
            num_tokens = grid[0] * grid[1]
            layer = PatchMerging(grid, norm_last)
            layer.build((None, num_tokens, 4))
            reference.randomise(layer)
            tokens = TOKENS[:, :num_tokens]
            w = reference.weights(layer)
            expected = in_numpy(tokens, grid, w, norm_last)
            self.assertAllClose(layer(tokens), expected, 1e-5, 1e-5)

    def test_output_grid(self):
        self.assertEqual(PatchMerging((4, 6)).output_grid, (2, 3))
        self.assertEqual(PatchMerging((3, 5)).output_grid, (2, 3))

    def test_wrong_number_of_tokens(self):
        with self.assertRaisesRegex(ValueError, r"grid=\(3, 4\)"):
            PatchMerging((3, 4)).build((None, 15, 4))
