import keras
import numpy as np
import pytest

from keras_mim import Normalization
from tests.test_case import TestCase

GREY = Normalization((0.2,), (0.3,))


class NormalizationTest(TestCase):
    def test_defaults_are_imagenets_for_three_channels_only(self):
        rgb = Normalization.for_channels(3)
        self.assertEqual(rgb.mean, (0.485, 0.456, 0.406))
        self.assertEqual(rgb.std, (0.229, 0.224, 0.225))
        self.assertEqual(Normalization.for_channels(2).mean, (0.5, 0.5))
        self.assertEqual(Normalization.for_channels(2).std, (0.5, 0.5))

    def test_pixels_bytes_and_back(self):
        pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 1))
        pixels = pixels.astype("uint8")
        expected = (pixels / 255 - 0.2) / 0.3
        tensor = keras.ops.convert_to_tensor
        for form in (np.asarray, tensor):
            images = GREY.normalize(form(pixels))
            self.assertAllClose(images, expected, 1e-5, 1e-6)
            images = GREY.normalize(form((pixels / 255).astype("float32")))
            self.assertAllClose(images, expected, 1e-5, 1e-6)
            back = GREY.denormalize(images)
            self.assertAllClose(back, pixels / 255, 1e-5, 1e-6)

    def test_pixels_inside_of_a_pipeline_of_any_backend(self):
        tf = pytest.importorskip("tensorflow")
        pixels = np.arange(0, 240, 20, "uint8").reshape(1, 3, 4, 1)
        expected = (pixels / 255 - 0.2) / 0.3
        for form in (pixels, (pixels / 255).astype("float32")):
            images = tf.data.Dataset.from_tensors(form).map(GREY.normalize)
            back = images.map(GREY.denormalize)
            (images,), (back,) = map(list, (images, back))
            self.assertEqual(images.dtype, "float32")
            self.assertAllClose(images.numpy(), expected, 1e-5, 1e-6)
            self.assertAllClose(back.numpy(), pixels / 255, 1e-5, 1e-6)

    def test_half_precision_is_normalized_in_full(self):
        images = keras.ops.zeros((1, 2, 2, 1), "float16")
        self.assertAllClose(GREY.normalize(images), images - 0.2 / 0.3, 1e-3)

    def test_is_a_value_that_is_saved(self):
        self.assertEqual(GREY, Normalization([0.2], np.array([0.3])))
        self.assertEqual(len({GREY, Normalization([0.2], [0.3])}), 1)
        config = keras.saving.serialize_keras_object(GREY)
        self.assertEqual(keras.saving.deserialize_keras_object(config), GREY)

    def test_resolve(self):
        resolve = Normalization.resolve
        self.assertEqual(resolve(None, 3), Normalization.for_channels(3))
        self.assertIs(resolve(GREY, 1), GREY)
        with self.assertRaisesRegex(ValueError, "expected 3. Received"):
            resolve(GREY, 3)
        with self.assertRaisesRegex(ValueError, "Received: normalization=0.5"):
            resolve(0.5, 1)

    def test_wrong_values(self):
        for mean, std, message in (
            ((0.5,), (0.0,), "`std` must be positive"),
            ((0.5, 0.5), (0.5,), "one number per channel each"),
            (0.5, (0.5,), "`mean` must be one finite number per channel"),
            ((), (), "`mean` must be one finite number per channel"),
            ((float("nan"),), (0.5,), "`mean` must be one finite number"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                Normalization(mean, std)
