import math

import keras
import numpy as np

from keras_mim.masking import RandomMasking
from tests.test_case import TestCase

IMAGES = np.zeros((4, 32, 48, 3), "float32")


class RandomMaskingTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            RandomMasking,
            {"mask_ratio": 0.75, "patch_size": 8, "seed": 1},
            inputs=[IMAGES],
            expected_shape=(4, 24),
            expected_dtype="bool",
            num_weights=0,
        )

    def test_golden_counts(self):
        # (patches, ratio, visible): the float error of the papers' code.
        for num_patches, ratio, visible in (
            (25, 0.8, 4),
            (100, 0.8, 19),
            (100, 0.9, 9),
            (225, 0.8, 44),
            (400, 0.8, 79),
            (400, 0.9, 39),
            (196, 0.75, 49),
            (64, 0.75, 16),
            (256, 0.75, 64),
        ):
            masking = RandomMasking(ratio, patch_size=16)
            grid = (math.isqrt(num_patches),) * 2
            self.assertEqual(masking.num_masked(grid), num_patches - visible)

    def test_simmim_counts(self):
        # 22 of 36 cells at 192 pixels, 30 of 49 at 224, 2 x 2 patches each.
        masking = RandomMasking(0.6, mask_patch_size=32, patch_size=16)
        self.assertEqual(masking.num_masked((12, 12)), 22 * 4)
        self.assertEqual(masking.num_masked((14, 14)), 30 * 4)

    def test_every_image_hides_the_same_count(self):
        for ratio in (0.1, 0.5, 0.75, 0.9):
            masking = RandomMasking(ratio, patch_size=4, seed=0)
            masked = self.to_numpy(masking(IMAGES))
            count = masking.num_masked((8, 12))
            self.assertAllEqual(masked.sum(axis=1), [count] * 4)

    def test_cells_are_hidden_whole(self):
        masking = RandomMasking(0.6, mask_patch_size=16, patch_size=4, seed=0)
        masked = self.to_numpy(masking(IMAGES))
        cells = masked.reshape(4, 2, 4, 3, 4)
        hidden = cells.mean(axis=(2, 4))
        self.assertTrue(np.isin(hidden, (0, 1)).all())
        self.assertAllEqual(hidden.sum(axis=(1, 2)), [4] * 4)  # ceil(3.6)

    def test_images_get_masks_of_their_own_and_calls_differ(self):
        masking = RandomMasking(0.5, patch_size=4, seed=0)
        first = self.to_numpy(masking(IMAGES))
        second = self.to_numpy(masking(IMAGES))
        self.assertTrue((first[0] != first[1]).any())
        self.assertTrue((first != second).any())

    def test_same_seed_gives_the_same_masks(self):
        one = RandomMasking(0.5, patch_size=4, seed=3)
        other = RandomMasking(0.5, patch_size=4, seed=3)
        for _ in range(2):
            self.assertAllEqual(one(IMAGES), other(IMAGES))

    def test_every_patch_is_hidden_equally_often(self):
        masking = RandomMasking(0.75, patch_size=8, seed=0)
        images = np.zeros((4000, 32, 48, 3), "float32")
        share = self.to_numpy(masking(images)).mean(axis=0)
        # Standard error sqrt(.75 * .25 / 4000) = .007: five of them.
        self.assertAllClose(share, np.full(24, 0.75), rtol=0, atol=0.035)

    def test_noise_stays_float32_under_mixed_precision(self):
        masking = RandomMasking(
            0.5, patch_size=1, seed=0, dtype="mixed_bfloat16"
        )
        reference = RandomMasking(0.5, patch_size=1, seed=0)
        self.assertAllEqual(masking(IMAGES), reference(IMAGES))

    def test_wrong_ratio(self):
        for ratio in (0, 1, -0.1, 1.5):
            with self.assertRaisesRegex(ValueError, f"mask_ratio={ratio}"):
                RandomMasking(ratio)

    def test_ratio_that_leaves_nothing_visible(self):
        with self.assertRaisesRegex(ValueError, "hides 4 of 4"):
            RandomMasking(0.9, patch_size=16)(np.zeros((1, 32, 32, 3)))

    def test_ratio_that_hides_nothing(self):
        # int(n * (1 - ratio)) rounds down, so only a ratio below float
        # precision can hide nothing.
        with self.assertRaisesRegex(ValueError, "hides 0 of 4"):
            RandomMasking(1e-20, patch_size=16)(np.zeros((1, 32, 32, 3)))

    def test_cell_not_a_multiple_of_the_patch(self):
        with self.assertRaisesRegex(
            ValueError, "mask_patch_size=20, patch_size=8"
        ):
            RandomMasking(0.5, mask_patch_size=20, patch_size=8)(IMAGES)

    def test_cell_without_pixels(self):
        with self.assertRaisesRegex(ValueError, "mask_patch_size=0"):
            RandomMasking(0.5, mask_patch_size=0)

    def test_image_not_divisible_by_the_cell(self):
        with self.assertRaisesRegex(ValueError, r"\(32, 48\) pixels"):
            RandomMasking(0.5, mask_patch_size=32, patch_size=8)(IMAGES)

    def test_no_patch_size_outside_of_a_model(self):
        with self.assertRaisesRegex(ValueError, "patch_size=None"):
            RandomMasking(0.5)(IMAGES)

    def test_works_in_a_compiled_function_with_any_batch_size(self):
        inputs = keras.Input((32, 48, 3))
        masking = RandomMasking(0.75, patch_size=8, seed=0)
        model = keras.Model(inputs, masking(inputs))
        model.compile(jit_compile=self.jit_compile())
        masked = model.predict(IMAGES, batch_size=3, verbose=0)
        self.assertAllEqual(masked.sum(axis=1), [18] * 4)
