import unittest

import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.data import ColorJitter

tf = pytest.importorskip("tensorflow")
pytest.importorskip("keras_cv")

NORMALIZATION = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.1))
PIXELS = np.random.default_rng(0).uniform(0.3, 0.7, (8, 6, 6, 3))
IMAGES = NORMALIZATION.normalize(PIXELS).astype("float32")


def jittered(strength, images=IMAGES):
    batches = tf.data.Dataset.from_tensors(images)
    batches = batches.map(ColorJitter(strength, NORMALIZATION, seed=0))
    (received,) = batches.as_numpy_iterator()
    return NORMALIZATION.denormalize(received)


class ColorJitterTest(unittest.TestCase):
    def test_no_strength_changes_nothing(self):
        # But for rounding: to [0, 255] and back. Seen: 3e-7.
        np.testing.assert_allclose(jittered(0.0), PIXELS, rtol=0, atol=1e-6)

    def test_images_change_each_in_its_own_way_and_stay_pixels(self):
        received = jittered(0.4)
        self.assertGreaterEqual(received.min(), -1e-6)
        self.assertLessEqual(received.max(), 1 + 1e-6)
        shifts = (received - PIXELS).mean(axis=(1, 2, 3))
        self.assertGreater(np.abs(shifts).max(), 0.02)
        self.assertGreater(shifts.std(), 0.01)

    def test_places_stay_what_they_are(self):
        # A picture of two halves, each of one colour, stays one.
        halves = np.zeros((4, 6, 6, 3), "float32")
        halves[:, :, 3:] = 0.5
        received = jittered(0.4, halves)
        for half in (received[:, :, :3], received[:, :, 3:]):
            spread = half.max(axis=(1, 2)) - half.min(axis=(1, 2))
            self.assertLess(spread.max(), 1e-5)
