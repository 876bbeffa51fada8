import math
import unittest

import numpy as np
import pytest

from keras_mim.data._crop import center_window
from keras_mim.data._crop import placed_window
from keras_mim.data._crop import random_window

# TensorFlow reads, whatever trains.
pytestmark = pytest.mark.tensorflow_only

tf = pytest.importorskip("tensorflow")

SCALE = (0.2, 1.0)
RATIO = (3 / 4, 4 / 3)


def sample_windows(height, width, scale=SCALE, ratio=RATIO, count=4000):
    @tf.function(autograph=False)
    def sample():
        return tf.map_fn(
            lambda seed: random_window(
                tf.constant([height, width]), scale, ratio, seed
            ),
            tf.stack([tf.range(count), 7 * tf.ones(count, "int32")], axis=1),
            parallel_iterations=16,
        )

    return sample().numpy()


def sample_torchvision_rule(height, width, scale, ratio, count):
    """The rule of torchvision's `RandomResizedCrop`, attempt by attempt."""
    rng = np.random.default_rng(0)
    windows = []
    while len(windows) < count:
        for _ in range(10):
            area = height * width * rng.uniform(*scale)
            aspect = math.exp(rng.uniform(*np.log(ratio)))
            w = round(math.sqrt(area * aspect))
            h = round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                top = rng.integers(0, height - h + 1)
                windows.append((top, rng.integers(0, width - w + 1), h, w))
                break
    return np.array(windows)


def assert_same_quantiles(actual, expected, tolerance):
    quantiles = np.linspace(0.05, 0.95, 19)
    difference = np.quantile(actual, quantiles) - np.quantile(
        expected, quantiles
    )
    np.testing.assert_array_less(np.abs(difference), tolerance)


class RandomWindowTest(unittest.TestCase):
    def test_windows_are_distributed_as_in_torchvision(self):
        # Wide, so that a part of the attempts does not fit.
        height, width = 300, 500
        ours = sample_windows(height, width)
        theirs = sample_torchvision_rule(height, width, SCALE, RATIO, 20000)
        # The standard error of a quantile of 4000 uniform draws is below
        # 0.008 of the range; tolerances are about four of it.
        for name, value, tolerance in (
            ("share", lambda w: w[:, 2] * w[:, 3] / (height * width), 0.03),
            ("aspect", lambda w: np.log(w[:, 3] / w[:, 2]), 0.02),
            ("top", lambda w: w[:, 0] / height, 0.03),
            ("left", lambda w: w[:, 1] / width, 0.03),
        ):
            with self.subTest(name):
                assert_same_quantiles(value(ours), value(theirs), tolerance)

    def test_area_is_uniform_and_aspect_ratio_log_uniform(self):
        # No attempt fails here, so that the laws show unchanged.
        windows = sample_windows(400, 400, scale=(0.1, 0.4)).astype("float64")
        share = windows[:, 2] * windows[:, 3] / 400**2
        aspect = np.log(windows[:, 3] / windows[:, 2])
        uniform = np.linspace(0, 1, 10001)
        assert_same_quantiles(share, 0.1 + 0.3 * uniform, 0.012)
        bound = math.log(4 / 3)
        assert_same_quantiles(aspect, bound * (2 * uniform - 1), 0.02)

    def test_windows_lie_inside_the_image(self):
        for size in ((1, 1), (2, 3), (17, 5), (31, 400)):
            windows = sample_windows(*size, count=300)
            self.assertTrue((windows[:, :2] >= 0).all())
            self.assertTrue((windows[:, 2:] >= 1).all())
            self.assertTrue((windows[:, :2] + windows[:, 2:] <= size).all())

    def test_a_window_that_never_fits_is_the_largest_centred_one(self):
        # As torchvision: the ratio is clipped, the corner floored.
        wide = sample_windows(30, 301, scale=(0.9, 1.0), count=3)
        np.testing.assert_array_equal(wide, [[0, 130, 30, 40]] * 3)
        tall = sample_windows(301, 30, scale=(0.9, 1.0), count=3)
        np.testing.assert_array_equal(tall, [[130, 0, 40, 30]] * 3)

    def test_the_whole_image_is_taken_when_only_it_is_allowed(self):
        windows = sample_windows(50, 50, (1.0, 1.0), (1.0, 1.0), count=3)
        np.testing.assert_array_equal(windows, [[0, 0, 50, 50]] * 3)

    def test_the_seed_decides(self):
        def draw(seed):
            size = tf.constant([90, 80])
            return random_window(size, SCALE, RATIO, seed).numpy().tolist()

        self.assertEqual(draw((1, 2)), draw((1, 2)))
        self.assertNotEqual(draw((1, 2)), draw((1, 3)))


class CenterWindowTest(unittest.TestCase):
    def window(self, size, target, crop_ratio):
        return center_window(tf.constant(size), target, crop_ratio).numpy()

    def test_square_target_keeps_a_share_of_the_short_side(self):
        np.testing.assert_array_equal(
            self.window((256, 400), (224, 224), 0.875), [16, 88, 224, 224]
        )

    def test_non_square_target_keeps_its_aspect_ratio(self):
        np.testing.assert_array_equal(
            self.window((200, 200), (32, 64), 1.0), [50, 0, 100, 200]
        )

    def test_an_image_of_the_target_size_is_kept_whole(self):
        for side in range(1, 300):
            np.testing.assert_array_equal(
                self.window((side, 37), (side, 37), 1.0), [0, 0, side, 37]
            )

    def test_a_tiny_image_gives_a_window(self):
        np.testing.assert_array_equal(
            self.window((1, 9), (224, 224), 0.3), [0, 4, 1, 1]
        )


class PlacedWindowTest(unittest.TestCase):
    def test_the_size_is_the_centred_ones_and_every_place_as_likely(self):
        size = tf.constant((8, 11))
        windows = np.array(
            [
                placed_window(size, (6, 6), 0.75, tf.constant((seed, 3)))
                for seed in range(2000)
            ]
        )
        sides = center_window(size, (6, 6), 0.75).numpy()[2:]
        np.testing.assert_array_equal(sides, (6, 6))
        self.assertTrue((windows[:, 2:] == sides).all())
        places, counts = np.unique(windows[:, :2], axis=0, return_counts=True)
        expected = [(top, left) for top in range(3) for left in range(6)]
        self.assertEqual(list(map(tuple, places)), expected)
        # 111 each; five deviations of a binomial are 51.
        self.assertLess(np.abs(counts - 2000 / 18).max(), 51)

    def test_a_window_as_large_as_the_image(self):
        window = placed_window(tf.constant((7, 7)), (5, 5), 1.0, (1, 2))
        np.testing.assert_array_equal(window, [0, 0, 7, 7])
