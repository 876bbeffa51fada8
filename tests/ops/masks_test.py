import keras
import numpy as np

from keras_mim import ops
from tests.test_case import TestCase


def some_masks(num_images, num_patches, num_masked):
    rng = np.random.default_rng(0)
    masked = np.zeros((num_images, num_patches), bool)
    masked[:, :num_masked] = True
    return rng.permuted(masked, axis=1)


class MasksTest(TestCase):
    def test_golden_mask_from_noise(self):
        noise = np.array([[0.3, 0.1, 0.9, 0.2]], "float32")
        masked = ops.mask_from_noise(noise, num_masked=2)
        self.assertAllEqual(masked, [[True, False, True, False]])

    def test_golden_restore_indices(self):
        masked = np.array([[True, False, True, False]])
        self.assertAllEqual(ops.visible_indices(masked, 2), [[1, 3]])
        self.assertAllEqual(ops.visible_indices(~masked, 2), [[0, 2]])
        self.assertAllEqual(ops.restore_indices(masked), [[2, 0, 3, 1]])

    def test_count_is_exact_when_noise_ties(self):
        noise = np.zeros((3, 50), "float32")
        for num_masked in (1, 25, 49):
            masked = self.to_numpy(ops.mask_from_noise(noise, num_masked))
            self.assertAllEqual(masked.sum(axis=1), [num_masked] * 3)

    def test_largest_noise_is_hidden(self):
        noise = np.random.rand(4, 30).astype("float32")
        masked = self.to_numpy(ops.mask_from_noise(noise, 10))
        for row, hidden in zip(noise, masked):
            self.assertGreater(row[hidden].min(), row[~hidden].max())

    def test_indices_are_those_of_numpy(self):
        masked = some_masks(5, 40, 30)
        expected = np.stack([np.flatnonzero(~row) for row in masked])
        self.assertAllEqual(ops.visible_indices(masked, 10), expected)
        expected = np.stack([np.flatnonzero(row) for row in masked])
        self.assertAllEqual(ops.visible_indices(~masked, 30), expected)

    def test_restore_undoes_visible_then_masked(self):
        masked = some_masks(5, 40, 30)
        order = np.concatenate(
            [
                self.to_numpy(ops.visible_indices(masked, 10)),
                self.to_numpy(ops.visible_indices(~masked, 30)),
            ],
            axis=1,
        )
        restore = self.to_numpy(ops.restore_indices(masked))
        self.assertAllEqual(
            np.take_along_axis(order, restore, axis=1),
            np.tile(np.arange(40), (5, 1)),
        )

    def test_gather_tokens_is_take_along_axis(self):
        tokens = np.random.rand(3, 10, 4).astype("float32")
        indices = np.random.default_rng(0).integers(0, 10, (3, 6))
        self.assertAllClose(
            ops.gather_tokens(keras.ops.convert_to_tensor(tokens), indices),
            np.take_along_axis(tokens, indices[:, :, None], axis=1),
        )
