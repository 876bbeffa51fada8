import unittest

import numpy as np
import pytest

from keras_mim.data._resizing import resize

# TensorFlow reads, whatever trains.
pytestmark = pytest.mark.tensorflow_only

tf = pytest.importorskip("tensorflow")

RNG = np.random.default_rng(0)


class ResizeTest(unittest.TestCase):
    def test_equals_tensorflows_to_the_last_bit(self):
        for shape in ((37, 53, 3), (9, 70, 1), (1, 1, 5), (64, 16, 3)):
            for dtype in ("uint8", "float32"):
                pixels = RNG.uniform(0, 255, shape).astype(dtype)
                for size in ((16, 24), (64, 16), shape[:2]):
                    for name in ("bicubic", "bilinear"):
                        expected = tf.image.resize(
                            pixels, size, name, antialias=True
                        )
                        np.testing.assert_array_equal(
                            resize(tf.constant(pixels), size, name), expected
                        )

    def test_sizes_that_are_known_only_when_it_runs(self):
        @tf.function(input_signature=[tf.TensorSpec((None, None, 3), "uint8")])
        def resized(pixels):
            return resize(pixels, (8, 12), "bicubic")

        self.assertEqual(resized.get_concrete_function().output_shapes[0], 8)
        for shape in ((30, 41, 3), (5, 6, 3)):
            pixels = RNG.integers(0, 256, shape, "uint8")
            expected = tf.image.resize(
                pixels, (8, 12), "bicubic", antialias=True
            )
            np.testing.assert_array_equal(resized(pixels), expected)
