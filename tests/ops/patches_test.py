import numpy as np

from keras_mim import ops
from tests.test_case import TestCase


class PatchesTest(TestCase):
    def test_golden_first_patch(self):
        # Channels first and counting up, as MAE's own arithmetic gives it.
        image = np.arange(32.0).reshape(1, 2, 4, 4).transpose(0, 2, 3, 1)
        patches = self.to_numpy(ops.patchify(image, 2))
        self.assertEqual(patches.shape, (1, 4, 8))
        self.assertAllEqual(patches[0, 0], [0, 16, 1, 17, 4, 20, 5, 21])

    def test_patches_are_slices_of_the_image(self):
        for height, width, channels, size in (
            (8, 12, 1, 4),
            (6, 4, 13, 2),
            (5, 15, 3, 5),
        ):
            images = np.random.rand(2, height, width, channels)
            patches = self.to_numpy(ops.patchify(images, size))
            columns = width // size
            for i in range(patches.shape[1]):
                row, column = size * (i // columns), size * (i % columns)
                expected = images[
                    :, row : row + size, column : column + size
                ].reshape(2, -1)
                self.assertAllClose(patches[:, i], expected)

    def test_unpatchify_is_the_inverse(self):
        images = np.random.rand(3, 12, 20, 5)
        patches = ops.patchify(images, 4)
        self.assertAllClose(ops.unpatchify(patches, (3, 5), 4), images)

    def test_side_not_divisible_by_the_patch(self):
        with self.assertRaisesRegex(
            ValueError, r"image_shape=\(10, 8, 3\), patch_size=4"
        ):
            ops.patch_grid((10, 8, 3), 4)

    def test_image_shape_of_wrong_rank(self):
        with self.assertRaisesRegex(ValueError, r"image_shape=\(8, 8\)"):
            ops.patch_grid((8, 8), 4)

    def test_patches_that_do_not_fit_the_grid(self):
        with self.assertRaisesRegex(ValueError, r"grid=\(3, 3\)"):
            ops.unpatchify(np.zeros((1, 4, 12)), (3, 3), 2)
