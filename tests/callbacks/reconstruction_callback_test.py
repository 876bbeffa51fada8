import keras
import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.callbacks import ReconstructionCallback
from keras_mim.callbacks import reconstruction_grid
from tests import tiny
from tests.test_case import TestCase

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

HALVES = Normalization((0.5,) * 3, (0.5,) * 3)
IMAGES = tiny.images(4)


def tiny_model():
    keras.utils.set_random_seed(0)
    model = tiny.mae()
    model.compile("sgd")
    return model


class ReconstructionCallbackTest(TestCase):
    def test_writes_a_picture_every_so_many_epochs(self):
        folder = self.temp_dir() / "pictures"
        watch = ReconstructionCallback(IMAGES, folder, every_epochs=2)
        tiny_model().fit(IMAGES, epochs=5, verbose=0, callbacks=[watch])
        names = sorted(path.name for path in folder.iterdir())
        self.assertEqual(names, ["epoch_0002.png", "epoch_0004.png"])
        first, second = (
            np.array(Image.open(folder / name)).astype("int") for name in names
        )
        self.assertEqual(first.shape, second.shape)
        # The same originals and masks, another reconstruction.
        half = first.shape[1] // 2
        self.assertAllEqual(first[:, :half], second[:, :half])
        self.assertGreater(np.abs(first - second)[:, half:].max(), 0)

    def test_training_is_not_disturbed(self):
        plain, watched = tiny_model(), tiny_model()
        watch = ReconstructionCallback(IMAGES, self.temp_dir())
        plain.fit(IMAGES, epochs=2, shuffle=False, verbose=0)
        watched.fit(
            IMAGES, epochs=2, shuffle=False, verbose=0, callbacks=[watch]
        )
        for one, other in zip(plain.weights, watched.weights):
            self.assertAllClose(one, other)

    def test_writes_to_tensorboard(self):
        pytest.importorskip("tensorflow")
        folder = self.temp_dir()
        watch = ReconstructionCallback(
            IMAGES, folder / "pictures", log_dir=folder / "logs"
        )
        tiny_model().fit(IMAGES, verbose=0, callbacks=[watch])
        events = [path.read_bytes() for path in (folder / "logs").iterdir()]
        self.assertTrue(any(b"reconstruction" in event for event in events))

    def test_wrong_interval(self):
        with self.assertRaisesRegex(ValueError, "every_epochs=0"):
            ReconstructionCallback(IMAGES, "pictures", every_epochs=0)


class ReconstructionGridTest(TestCase):
    def test_columns_and_values(self):
        images = np.full((2, 4, 8, 3), -1.0, "float32")
        masked = np.array([[True, False], [False, True]])
        result = {
            "original": images,
            "masked_image": images,
            "reconstruction": images + 1,
            "pasted": images + 2,
            "masked": masked,
        }
        grid = reconstruction_grid(result, HALVES)
        # Four pictures of 8 pixels with 2 between them, two rows of 4.
        self.assertEqual(grid.shape, (2 * 4 + 2, 4 * 8 + 3 * 2, 3))
        self.assertEqual(grid.dtype, "uint8")
        self.assertAllEqual(grid[:4, :8], np.full((4, 8, 3), 0))
        self.assertAllEqual(grid[:4, 10:14], np.full((4, 4, 3), 128))
        self.assertAllEqual(grid[:4, 14:18], np.full((4, 4, 3), 0))
        self.assertAllEqual(grid[6:, 14:18], np.full((4, 4, 3), 128))
        self.assertAllEqual(grid[:4, 20:28], np.full((4, 8, 3), 128))
        self.assertAllEqual(grid[:4, 30:38], np.full((4, 8, 3), 255))

    def test_other_channel_counts(self):
        for channels in (1, 2, 13):
            images = np.zeros((1, 4, 8, channels), "float32")
            names = ("original", "masked_image", "reconstruction", "pasted")
            result = {name: images for name in names}
            result["masked"] = np.array([[True, False]])
            self.assertEqual(reconstruction_grid(result).shape, (4, 38, 3))
