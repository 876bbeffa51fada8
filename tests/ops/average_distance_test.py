import numpy as np
import pytest

from keras_mim.ops import average_distance
from tests.test_case import TestCase


def nearest(hidden):
    """Every pair of pixels, one by one."""
    distances = [
        min(np.hypot(r - y, c - x) for y, x in np.argwhere(~hidden))
        for r, c in np.argwhere(hidden)
    ]
    return np.mean(distances)


class AverageDistanceTest(TestCase):
    def test_equals_every_pair_of_pixels(self):
        rng = np.random.default_rng(0)
        hidden = (
            rng.random((6, 7, 11)) < np.linspace(0.2, 0.98, 6)[:, None, None]
        )
        hidden[5, 3, 4] = False
        expected = [nearest(image) for image in hidden]
        self.assertAllClose(average_distance(hidden), expected, 1e-5, 1e-5)

    def test_equals_scipys_distance_transform(self):
        ndimage = pytest.importorskip("scipy.ndimage")
        rng = np.random.default_rng(1)
        cells = rng.random((3, 6, 8)) < 0.6
        hidden = np.kron(cells, np.ones((1, 16, 16))).astype(bool)
        expected = [
            ndimage.distance_transform_edt(image)[image].mean()
            for image in hidden
        ]
        self.assertAllClose(average_distance(hidden), expected, 1e-5, 1e-5)

    def test_a_stripe(self):
        # Columns 3 to 6 of ten: two of them 1 away, two 2.
        hidden = np.zeros((1, 5, 10), bool)
        hidden[:, :, 3:7] = True
        self.assertAllClose(average_distance(hidden), [1.5])

    def test_nothing_hidden_or_nothing_visible(self):
        hidden = np.zeros((3, 4, 4), bool)
        hidden[1] = True
        hidden[2, 0, 0] = True
        result = self.to_numpy(average_distance(hidden))
        self.assertAllEqual(np.isnan(result), [True, True, False])
