import numpy as np

from keras_mim import ops
from tests.test_case import TestCase


class GivenMaskTest(TestCase):
    def test_one_mask_serves_every_image(self):
        masked, num_masked = ops.check_mask(np.array([True, False]), 3, 2)
        self.assertEqual(num_masked, 1)
        self.assertAllEqual(masked, [[True, False]] * 3)

    def test_wrong_dtype(self):
        with self.assertRaisesRegex(ValueError, "dtype int64"):
            ops.check_mask(np.array([[1, 0]], "int64"), 1, 2)

    def test_wrong_shape(self):
        with self.assertRaisesRegex(ValueError, r"\(2, 9\).*\(2, 4\)"):
            ops.check_mask(np.zeros((2, 4), bool), 2, 9)

    def test_unequal_counts(self):
        masked = np.array([[True, False, False], [True, True, False]])
        with self.assertRaisesRegex(ValueError, "between 1 and 2"):
            ops.check_mask(masked, 2, 3)

    def test_nothing_hidden_or_nothing_visible(self):
        for masked in (np.zeros((1, 4), bool), np.ones((1, 4), bool)):
            with self.assertRaisesRegex(ValueError, "of 4 hidden"):
                ops.check_mask(masked, 1, 4)

    def test_picture_hides_patches_that_are_half_covered(self):
        picture = np.zeros((4, 8), bool)
        picture[:, :3] = True  # All of column 0, half of column 1.
        picture[0, 5] = True  # A quarter of one patch.
        masked = ops.mask_from_picture(picture, 2)
        self.assertAllEqual(
            masked.reshape(2, 4), [[True, True, False, False]] * 2
        )

    def test_a_share_of_the_covered_cells(self):
        picture = np.zeros((16, 24), bool)
        picture[4:, 2:] = True
        covered = ops.mask_from_picture(picture, 2, mask_patch_size=4)
        # The first column of cells is half covered.
        cells = covered.reshape(4, 2, 6, 2)
        self.assertTrue((cells == cells[:, :1, :, :1]).all())
        self.assertEqual(cells[:, 0, :, 0].sum(), 18)
        most = ops.mask_from_picture(picture, 2, 4, share=0.8, seed=0)
        self.assertEqual(most.sum(), 15 * 4)  # ceil(18 * 0.8) cells.
        self.assertFalse((most & ~covered).any())
        again = ops.mask_from_picture(picture, 2, 4, share=0.8, seed=0)
        self.assertAllEqual(most, again)
        other = ops.mask_from_picture(picture, 2, 4, share=0.8, seed=1)
        self.assertTrue((most != other).any())

    def test_wrong_share_and_cells(self):
        picture = np.zeros((8, 8), bool)
        with self.assertRaisesRegex(ValueError, "share=0"):
            ops.mask_from_picture(picture, 2, share=0)
        with self.assertRaisesRegex(ValueError, "mask_patch_size=3"):
            ops.mask_from_picture(picture, 2, mask_patch_size=3)

    def test_picture_of_wrong_size(self):
        with self.assertRaisesRegex(ValueError, r"\(5, 8\), patch_size=2"):
            ops.mask_from_picture(np.zeros((5, 8), bool), 2)

    def test_mask_to_pixels_covers_the_patches(self):
        masked = np.array([[True, False, False, False, False, True]])
        pixels = ops.mask_to_pixels(masked, (8, 12, 3))
        self.assertEqual(pixels.shape, (1, 8, 12, 1))
        expected = np.zeros((8, 12), bool)
        expected[:4, :4] = expected[4:, 8:] = True
        self.assertAllEqual(pixels[0, :, :, 0], expected)
