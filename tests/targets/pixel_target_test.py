import keras
import numpy as np

from keras_mim import Normalization
from keras_mim.targets import PixelTarget
from keras_mim.targets import Target
from tests.test_case import TestCase

IMAGES = np.random.default_rng(0).normal(size=(2, 8, 12, 3)).astype("float32")


class PixelTargetTest(TestCase):
    def test_layer_basics(self):
        target = PixelTarget(normalize=True, patch_size=4)
        output = target(IMAGES)
        self.assertEqual(tuple(output.shape), (2, 6, 48))
        self.assertEqual(
            PixelTarget.from_config(target.get_config()).get_config(),
            target.get_config(),
        )
        inputs = keras.Input((8, 12, 3))
        model = keras.Model(inputs, target(inputs))
        self.assertEqual(model.output_shape, (None, 6, 48))
        self.assertAllClose(model.predict(IMAGES, verbose=0), output)

    def test_golden_normalised_target(self):
        image = np.array([0, 1, 2, 5], "float32").reshape(1, 2, 2, 1)
        target = PixelTarget(normalize=True, patch_size=2)(image)
        # Five digits, as the golden values have.
        self.assertAllClose(
            target[0, 0], [-0.92582, -0.46291, 0, 1.38873], 1e-5, 1e-5
        )

    def test_normalised_target_is_that_of_numpy(self):
        target = self.to_numpy(PixelTarget(True, patch_size=4)(IMAGES))
        corner = IMAGES[1, 4:8, 8:12].reshape(-1).astype("float64")
        expected = corner - corner.mean()
        expected /= np.sqrt(corner.var(ddof=1) + 1e-6)
        self.assertAllClose(target[1, 5], expected, 1e-5, 1e-5)

    def test_flat_patch_becomes_zero(self):
        target = PixelTarget(True, patch_size=4)(np.full((1, 8, 8, 3), 0.25))
        self.assertAllEqual(target, np.zeros((1, 4, 48)))

    def test_to_images_is_the_inverse(self):
        for normalize in (False, True):
            target = PixelTarget(normalize, patch_size=4)
            images = target.to_images(target(IMAGES), IMAGES)
            self.assertAllClose(images, IMAGES, 1e-5, 1e-5)

    def test_float32_whatever_the_policy_and_the_images(self):
        pixels = (IMAGES * 20 + 100).astype("uint8")
        images = Normalization.for_channels(3).normalize(pixels)
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        target = PixelTarget(True, patch_size=4)
        expected = target(images)
        for given in (pixels, images.astype("float64")):
            self.assertAllClose(target(given), expected)
        self.assertEqual(
            keras.backend.standardize_dtype(target(images).dtype), "float32"
        )

    def test_target_without_pixels_cannot_be_shown(self):
        class Nothing(Target):
            def target_dim(self, channels):
                return 1

        with self.assertRaisesRegex(ValueError, "`Nothing` cannot"):
            Nothing(patch_size=4).to_images(IMAGES, IMAGES)

    def test_no_patch_size_outside_of_a_model(self):
        with self.assertRaisesRegex(ValueError, "patch_size=None"):
            PixelTarget()(IMAGES)
