import unittest

import numpy as np

from keras_mim.ops import channel_statistics


class ChannelStatisticsTest(unittest.TestCase):
    def test_three_channels_get_the_statistics_of_imagenet(self):
        mean, std = channel_statistics(3)
        np.testing.assert_allclose(mean, [0.485, 0.456, 0.406], rtol=1e-6)
        np.testing.assert_allclose(std, [0.229, 0.224, 0.225], rtol=1e-6)
        self.assertEqual(mean.dtype, "float32")

    def test_other_counts_get_one_half(self):
        for channels in (1, 4):
            mean, std = channel_statistics(channels)
            np.testing.assert_array_equal(mean, [0.5] * channels)
            np.testing.assert_array_equal(std, [0.5] * channels)

    def test_given_values_are_kept(self):
        mean, std = channel_statistics(2, mean=(0.1, 0.2), std=[1, 2])
        np.testing.assert_allclose(mean, [0.1, 0.2], rtol=1e-6)
        np.testing.assert_array_equal(std, [1, 2])

    def test_wrong_values(self):
        with self.assertRaisesRegex(ValueError, r"Received: mean=\(0.5,\)"):
            channel_statistics(3, mean=(0.5,))
        with self.assertRaisesRegex(ValueError, "`std` must hold one"):
            channel_statistics(1, std=0.5)
        with self.assertRaisesRegex(ValueError, "`std` must be positive"):
            channel_statistics(2, std=(1.0, 0.0))
