import numpy as np

from keras_mim import ops
from tests.test_case import TestCase


class EnlargeTest(TestCase):
    def test_every_pixel_is_repeated_both_ways(self):
        images = np.random.default_rng(0).normal(size=(2, 2, 3, 4))
        expected = images.repeat(3, axis=1).repeat(3, axis=2)
        self.assertAllClose(ops.enlarge(images, 3), expected)
        self.assertAllEqual(ops.enlarge(images, 1), images)

    def test_masks_stay_boolean(self):
        masked = np.array([True, False]).reshape(1, 1, 2, 1)
        larger = self.to_numpy(ops.enlarge(masked, 2))
        self.assertEqual(larger.dtype, bool)
        self.assertAllEqual(larger[0, 0, :, 0], [True, True, False, False])
