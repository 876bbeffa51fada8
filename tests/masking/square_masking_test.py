import numpy as np

from keras_mim.masking import SquareMasking
from tests.test_case import TestCase

IMAGES = np.zeros((32, 32, 48, 3), "float32")


class SquareMaskingTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            SquareMasking,
            {"mask_ratio": 0.4, "patch_size": 8, "seed": 1},
            inputs=[IMAGES[:4]],
            expected_shape=(4, 24),
            expected_dtype="bool",
            num_weights=0,
        )

    def test_hides_one_square_anywhere(self):
        # 8 x 12 patches: 38.4 wanted, 36 is nearest.
        masking = SquareMasking(0.4, patch_size=4, seed=0)
        self.assertEqual(masking.num_masked((8, 12)), 36)
        masked = self.to_numpy(masking(IMAGES)).reshape(-1, 8, 12)
        corners = set()
        for mask in masked:
            rows, columns = np.nonzero(mask)
            top, left = rows.min(), columns.min()
            self.assertEqual(len(rows), 36)
            self.assertTrue(mask[top : top + 6, left : left + 6].all())
            corners.add((int(top), int(left)))
        # Of 3 x 7 places.
        self.assertGreater(len(corners), 10)
        self.assertEqual(max(top for top, _ in corners), 2)
        self.assertEqual(max(left for _, left in corners), 6)

    def test_cells(self):
        masking = SquareMasking(0.2, mask_patch_size=8, patch_size=4, seed=0)
        masked = self.to_numpy(masking(IMAGES))
        self.assertEqual(masking.num_masked((8, 12)), 4 * 4)
        cells = masked.reshape(-1, 4, 2, 6, 2).mean(axis=(2, 4))
        self.assertTrue(np.isin(cells, (0, 1)).all())

    def test_wrong_arguments(self):
        for arguments, message in (
            ({"mask_ratio": 0}, "mask_ratio=0"),
            ({"mask_ratio": 0.9}, r"a square of 9 in a grid of \(8, 12\)"),
            ({"mask_ratio": 0.001}, "hides 0 of 96"),
            ({"mask_patch_size": 6}, "mask_patch_size=6"),
            ({"mask_patch_size": 0}, "mask_patch_size=0"),
            ({"mask_patch_size": "8"}, "mask_patch_size='8'"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                SquareMasking(
                    **{"mask_ratio": 0.4, "patch_size": 4, **arguments}
                )(IMAGES)
