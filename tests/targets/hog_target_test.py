import keras
import numpy as np

from keras_mim import Normalization
from keras_mim.ops import hog
from keras_mim.targets import HOGTarget
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(2, (32, 48, 3))


class HOGTargetTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            HOGTarget,
            {"num_bins": 6, "cell_size": 4, "patch_size": 16},
            inputs=[IMAGES],
            expected_shape=(2, 6, 3 * 6 * 16),
            expected_dtype="float32",
            num_weights=0,
        )

    def test_108_values_of_a_patch_of_16_pixels(self):
        target = HOGTarget(patch_size=16)
        self.assertEqual(target.target_dim(3), 108)
        images = np.zeros((2, 224, 224, 3), "float32")
        self.assertEqual(tuple(target(images).shape), (2, 196, 108))

    def test_order_is_channel_bin_row_column(self):
        target = HOGTarget(patch_size=16)
        values = self.to_numpy(target(IMAGES)).reshape(2, 6, 3, 9, 2, 2)
        cells = self.to_numpy(hog(IMAGES)).reshape(2, 4, 6, 3, 9)
        for patch, row, column in np.ndindex(6, 2, 2):
            i, j = divmod(patch, 3)
            self.assertAllEqual(
                values[:, patch, :, :, row, column],
                cells[:, 2 * i + row, 2 * j + column],
            )

    def test_float32_whatever_the_policy_and_the_images(self):
        pixels = (IMAGES * 20 + 100).astype("uint8")
        images = Normalization.for_channels(3).normalize(pixels)
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        target = HOGTarget(patch_size=16)
        expected = target(images)
        for given in (pixels, images.astype("float64")):
            self.assertAllClose(target(given), expected)
        self.assertEqual(
            keras.backend.standardize_dtype(target(images).dtype), "float32"
        )

    def test_one_training_step_of_mae(self):
        mae = tiny.mae(tiny.vit((32, 48, 3), 16), target=HOGTarget())
        mae.compile("sgd")
        history = mae.fit(IMAGES, verbose=0)
        self.assertTrue(np.isfinite(history.history["loss"]).all())

    def test_default_loss_is_the_mean_squared_error(self):
        self.assertIsInstance(
            HOGTarget().default_loss, keras.losses.MeanSquaredError
        )

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "cell_size=6, patch_size=16"):
            HOGTarget(cell_size=6, patch_size=16)
        target = HOGTarget(cell_size=6)
        target.patch_size = 16  # As a model fills it in.
        with self.assertRaisesRegex(ValueError, "cell_size=6, patch_size=16"):
            target.target_dim(3)
        with self.assertRaisesRegex(ValueError, "num_bins=0"):
            HOGTarget(num_bins=0)
        with self.assertRaisesRegex(ValueError, "gaussian_window=1"):
            HOGTarget(gaussian_window=1)
        # Before the first step, when a model is made.
        with self.assertRaisesRegex(ValueError, "gaussian_window=32"):
            HOGTarget(9, 8, 32, patch_size=16)(keras.Input((32, 48, 3)))
        with self.assertRaisesRegex(ValueError, "patch_size=None"):
            HOGTarget()(IMAGES)

    def test_cannot_be_shown(self):
        with self.assertRaisesRegex(ValueError, "`HOGTarget` cannot"):
            HOGTarget(patch_size=16).to_images(IMAGES, IMAGES)
