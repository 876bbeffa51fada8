import pathlib
import tempfile
import unittest

import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.data import read_images

pillow = pytest.importorskip("PIL.Image")
pytest.importorskip("tensorflow")

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), "uint8")


@pytest.mark.tensorflow_only  # It reads, whatever trains.
class ReadImagesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name, "photo.png")
        exif = pillow.Exif()
        exif[0x0112] = 6  # The camera lay on its side.
        pillow.fromarray(PIXELS).save(self.path, exif=exif)

    def test_images_are_upright_and_normalized(self):
        upright = np.rot90(PIXELS, -1)
        received = read_images([self.path] * 2, (9, 6, 3), dtype="uint8")
        np.testing.assert_array_equal(received, [upright, upright])
        own = Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
        received = read_images([str(self.path)], (9, 6, 3), normalization=own)
        np.testing.assert_allclose(
            received[0], own.normalize(upright), atol=1e-5
        )

    def test_what_is_no_image(self):
        missing = self.path.with_name("none.jpg")
        text = self.path.with_name("text.jpg")
        text.write_text("no image")
        for paths, shape, message in (
            ([missing], (8, 8, 3), f"existing files. Received: {missing}"),
            ([text], (8, 8, 3), f"{text} cannot be read as an image"),
            ([5], (8, 8, 3), "paths=5"),
            ([], (8, 8, 3), "must name a file"),
            ([self.path], (8, 8, 5), "1 or 3 channels"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                read_images(paths, shape)
