import math

import keras
import numpy as np

from keras_mim.ops import hog
from tests.test_case import TestCase

# One shape for most tests: JAX compiles every function for every shape.
SHAPE = (2, 16, 32, 3)
SOBEL = ((1, 0, -1), (2, 0, -2), (1, 0, -1))


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def whole_numbers(*shape):
    # Small enough for float32 to add and multiply them without rounding.
    pixels = np.random.default_rng(0).integers(0, 256, shape)
    return pixels.astype("float32")


def reflected(i, size):
    if i < 0:
        return -i
    return 2 * (size - 1) - i if i >= size else i


def oracle(images, num_bins, cell_size, gaussian_window):
    """The definition, pixel by pixel, in float64."""
    images = images.astype("float64")
    batch_size, height, width, channels = images.shape
    histograms = np.zeros(
        (
            batch_size,
            height // cell_size,
            width // cell_size,
            channels,
            num_bins,
        )
    )
    for n, i, j, c in np.ndindex(*images.shape):
        x = y = 0.0
        for di, dj in np.ndindex(3, 3):
            row = reflected(i + di - 1, height)
            column = reflected(j + dj - 1, width)
            x += SOBEL[di][dj] * images[n, row, column, c]
            y += SOBEL[dj][di] * images[n, row, column, c]
        weight = math.hypot(x, y)
        if gaussian_window:
            middle = (gaussian_window - 1) / 2
            square = (i % gaussian_window - middle) ** 2
            square += (j % gaussian_window - middle) ** 2
            weight *= math.exp(-square / (2 * (gaussian_window // 2) ** 2))
        half_turns = math.atan2(x, y) / math.pi % 1
        place = n, i // cell_size, j // cell_size, c, int(half_turns * num_bins)
        histograms[place] += weight
    # The sum of the window is missing above: it cancels here.
    length = np.sqrt(np.square(histograms).sum(-1, keepdims=True))
    histograms /= np.maximum(length, 1e-12)
    return histograms.reshape(*histograms.shape[:3], -1)


class HOGTest(TestCase):
    def test_definition_in_loops(self):
        for shape, arguments in (
            (SHAPE, (9, 8, 16)),
            ((1, 24, 16, 1), (9, 8, 0)),
            ((1, 9, 15, 2), (8, 3, 3)),
        ):
            features = self.to_numpy(hog(noise(*shape), *arguments))
            self.assertEqual(features.dtype, "float32")
            # Float32 against float64, over up to 64 pixels a cell.
            expected = oracle(noise(*shape), *arguments)
            self.assertAllClose(features, expected, 1e-5, 1e-5)

    def test_bins_of_straight_edges(self):
        row, column = np.indices((24, 24)).astype("float32")
        slopes = (
            (row, 0),  # 0 and 180 degrees: the first of 9 bins of 20.
            (-row, 0),
            (row + column, 2),  # 45
            (-row - column, 2),
            (column, 4),  # 90
            (-column, 4),
            (row - column, 6),  # 135
            (2 * row - column / 8, 8),  # 176
        )
        images = np.stack([image for image, _ in slopes])[..., None]
        features = self.to_numpy(hog(images, 9, 8, 0))
        # The middle cells: reflection bends gradients at the border.
        expected = np.eye(9, dtype="float32")[[i for _, i in slopes]]
        self.assertAllClose(features[:, 1, 1], expected)

    def test_edges_of_bins_belong_to_the_next_bin_in_compiled_code_too(self):
        # 45, 90, 135 and 180 degrees, all edges of 8 bins.
        row, column = np.indices((24, 24)).astype("float32")
        slopes = row + column, column, row - column, -row
        images = np.stack(slopes)[..., None]
        inputs = keras.Input((24, 24, 1))
        model = keras.Model(inputs, hog(inputs, 8, 8, 0))
        expected = np.eye(8, dtype="float32")[[2, 4, 6, 0]]
        for features in (
            hog(images, 8, 8, 0),
            model.predict(images, verbose=0),
        ):
            self.assertAllClose(self.to_numpy(features)[:, 1, 1], expected)

    def test_bins_come_channel_by_channel(self):
        images = noise(*SHAPE)
        together = self.to_numpy(hog(images))
        for c in range(3):
            alone = self.to_numpy(hog(images[..., [c, c, c]]))
            values = together[..., 9 * c : 9 * (c + 1)]
            self.assertAllClose(alone, np.tile(values, 3))

    def test_window_weighs_the_middle_of_a_tile(self):
        # In the first cell, a strong edge at the corner and a weak one near
        # the middle of the window.
        images = np.zeros(SHAPE, "float32")
        images[:, :, 2:] = 1
        images[:, 6:] += 0.8
        even = self.to_numpy(hog(images, gaussian_window=0))[0, 0, 0]
        weighed = self.to_numpy(hog(images))[0, 0, 0]
        self.assertGreater(even[4], even[0])
        self.assertGreater(weighed[0], weighed[4])

    def test_brightness_does_not_count(self):
        images = whole_numbers(*SHAPE)
        self.assertAllEqual(hog(images + 1000), hog(images))
        self.assertAllEqual(hog(images.astype("uint8")), hog(images))

    def test_contrast_does_not_count(self):
        images = whole_numbers(*SHAPE)
        # Thrice is not a power of two: magnitudes round differently.
        self.assertAllClose(hog(3 * images), hog(images), 1e-5, 1e-6)
        self.assertAllClose(hog(-images), hog(images))
        each = images * np.array([1, 2, 5], "float32")
        self.assertAllClose(hog(each), hog(images), 1e-5, 1e-6)

    def test_lengths_are_1(self):
        features = self.to_numpy(hog(noise(*SHAPE)))
        length = np.linalg.norm(features.reshape(-1, 9), axis=-1)
        self.assertAllClose(length, np.ones_like(length), 1e-5)

    def test_constant_image_becomes_zero(self):
        features = hog(np.full(SHAPE, 0.3, "float32"))
        self.assertAllEqual(features, np.zeros((2, 2, 4, 27)))

    def test_half_precision_images_are_computed_in_float32(self):
        images = keras.ops.cast(noise(*SHAPE), "bfloat16")
        features = hog(images)
        self.assertEqual(
            keras.backend.standardize_dtype(features.dtype), "float32"
        )
        again = keras.ops.cast(images, "float32")
        self.assertAllClose(features, hog(again))

    def test_wrong_arguments(self):
        images = noise(1, 24, 16, 3)
        for arguments, message in (
            ((0, 8, 0), "num_bins=0"),
            ((9, 0, 0), "cell_size=0"),
            ((9, 8, 1), "gaussian_window=1"),
            ((9, 8, -16), "gaussian_window=-16"),
            ((9, 5, 0), r"image_shape=\(24, 16, 3\), cell_size=5"),
            ((9, 8, 16), r"image_shape=\(24, 16, 3\).*gaussian_window=16"),
        ):
            with self.assertRaisesRegex(ValueError, f"Received: .*{message}"):
                hog(images, *arguments)
