import keras
import numpy as np
import pytest

from keras_mim.ops import resize_lanczos
from tests.test_case import TestCase

IMAGES = np.random.default_rng(0).random((2, 24, 40, 3)).astype("float32")


class ResizeLanczosTest(TestCase):
    def test_pillow_agrees(self):
        image = pytest.importorskip("PIL.Image")
        for size in ((12, 20), (24, 17), (5, 40), (36, 64), (1, 1)):
            found = self.to_numpy(resize_lanczos(IMAGES, size))
            self.assertEqual(found.shape, (2, *size, 3))
            for i in np.ndindex(2, 3):
                channel = image.fromarray(IMAGES[i[0], ..., i[1]])
                expected = np.asarray(
                    channel.resize(size[::-1], image.Resampling.LANCZOS)
                )
                # Sums of 40 products in float32.
                self.assertAllClose(
                    found[i[0], ..., i[1]], expected, 1e-5, 1e-5
                )

    def test_flat_images_stay_flat(self):
        images = np.full((1, 9, 9, 1), 0.7, "float32")
        for size in ((4, 4), (13, 9)):
            found = resize_lanczos(images, size)
            self.assertAllClose(found, np.full((1, *size, 1), 0.7), 1e-5)

    def test_the_same_size_changes_nothing(self):
        images = keras.ops.convert_to_tensor(IMAGES)
        self.assertIs(resize_lanczos(images, (24, 40)), images)
