import numpy as np

from keras_mim.masking import GridMasking
from tests.test_case import TestCase

IMAGES = np.zeros((4, 32, 48, 3), "float32")


class GridMaskingTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            GridMasking,
            {"stride": 2, "patch_size": 8, "seed": 1},
            inputs=[IMAGES],
            expected_shape=(4, 24),
            expected_dtype="bool",
            num_weights=0,
        )

    def test_keeps_the_top_left_of_every_square(self):
        for stride, height in ((2, 32), (4, 32), (3, 24)):
            masking = GridMasking(stride, patch_size=4)
            masked = self.to_numpy(masking(IMAGES[:, :height]))
            masked = masked.reshape(4, height // 4, 12)
            for row in range(height // 4):
                for column in range(12):
                    kept = row % stride == 0 and column % stride == 0
                    self.assertAllEqual(masked[:, row, column], [not kept] * 4)

    def test_counts_of_the_paper(self):
        # 224 pixels in patches of 16: 49 of 196 stay visible, as with random
        # masking at 75 %.
        masking = GridMasking(patch_size=16)
        self.assertEqual(masking.num_masked((14, 14)), 147)
        # 89 % of 12 x 18.
        self.assertEqual(GridMasking(3).num_masked((12, 18)), 192)

    def test_cells(self):
        masking = GridMasking(mask_patch_size=8, patch_size=4)
        masked = self.to_numpy(masking(IMAGES))
        self.assertEqual(masking.num_masked((8, 12)), 18 * 4)
        cells = masked.reshape(-1, 4, 2, 6, 2).mean(axis=(2, 4))
        self.assertTrue(np.isin(cells, (0, 1)).all())
        self.assertAllEqual(cells[:, ::2, ::2], np.zeros((4, 2, 3)))
        self.assertAllEqual(cells.sum(axis=(1, 2)), [18] * 4)

    def test_every_call_and_every_seed_give_the_same_masks(self):
        masking = GridMasking(patch_size=4, seed=0)
        first = self.to_numpy(masking(IMAGES))
        self.assertAllEqual(masking(IMAGES), first)
        self.assertAllEqual(GridMasking(patch_size=4, seed=1)(IMAGES), first)

    def test_wrong_arguments(self):
        for arguments, message in (
            ({"stride": 1}, "stride=1"),
            ({"stride": 3}, r"stride=3, a grid of \(8, 12\)"),
            ({"stride": 8}, r"stride=8, a grid of \(8, 12\)"),
            ({"mask_patch_size": 16}, r"stride=2, a grid of \(2, 3\)"),
            ({"mask_patch_size": 6}, "mask_patch_size=6, patch_size=4"),
            ({"mask_patch_size": 0}, "mask_patch_size=0"),
            ({"mask_patch_size": "8"}, "mask_patch_size='8'"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                GridMasking(**{"patch_size": 4, **arguments})(IMAGES)

    def test_grid_that_does_not_fit_has_no_count(self):
        with self.assertRaisesRegex(ValueError, r"a grid of \(14, 7\)"):
            GridMasking(patch_size=16).num_masked((14, 7))
