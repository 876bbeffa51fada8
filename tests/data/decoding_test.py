import io
import unittest

import numpy as np
import pytest

from keras_mim.data._decoding import decode
from keras_mim.data._decoding import decode_window

tf = pytest.importorskip("tensorflow")
pillow = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(0)
# Smooth, so that JPEG and palettes keep it; odd sides, so that rows are padded.
ROWS, COLUMNS = np.mgrid[:53, :71]
RGB = np.stack(
    [4 * ROWS, 3 * COLUMNS, 255 - 2 * ROWS - COLUMNS], axis=-1
).astype("uint8")
ALPHA = RNG.integers(0, 256, (53, 71, 1), "uint8")
WINDOW = (5, 9, 33, 41)


def encode(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def decode_part(data, channels):
    return decode_window(
        tf.constant(data), channels, lambda size: tf.constant(WINDOW)
    ).numpy()


def cut(pixels):
    top, left, height, width = WINDOW
    return pixels[top : top + height, left : left + width]


class DecodingTest(unittest.TestCase):
    def assert_decodes_as_pillow(self, data):
        image = pillow.open(io.BytesIO(data))
        colour = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(decode_part(data, 3), cut(colour))
        grey = np.asarray(image.convert("RGB").convert("L"), "float32")
        received = decode_part(data, 1)
        self.assertEqual(received.shape, (*WINDOW[2:], 1))
        # Both round the weighted sum, each in its own arithmetic.
        np.testing.assert_allclose(received[..., 0], cut(grey), atol=1)

    def test_lossless_formats_decode_as_in_pillow(self):
        for file_format, options in (
            ("PNG", {}),
            ("BMP", {}),
            ("WEBP", {"lossless": True}),
        ):
            image = pillow.fromarray(RGB)
            with self.subTest(file_format):
                self.assert_decodes_as_pillow(
                    encode(image, file_format, **options)
                )

    def test_grey_images(self):
        for file_format in ("PNG", "BMP"):
            image = pillow.fromarray(RGB).convert("L")
            with self.subTest(file_format):
                self.assert_decodes_as_pillow(encode(image, file_format))

    def test_alpha_is_dropped(self):
        image = pillow.fromarray(np.concatenate([RGB, ALPHA], axis=-1))
        for file_format, options in (
            ("PNG", {}),
            ("BMP", {}),
            ("WEBP", {"lossless": True, "exact": True}),
        ):
            data = encode(image, file_format, **options)
            with self.subTest(file_format):
                np.testing.assert_array_equal(decode_part(data, 3), cut(RGB))

    def test_palettes_are_looked_up(self):
        for colours in (256, 100):
            image = pillow.fromarray(RGB).quantize(colours)
            for file_format in ("PNG", "BMP"):
                with self.subTest(file_format, colours=colours):
                    self.assert_decodes_as_pillow(encode(image, file_format))

    def test_jpeg_window_equals_decoding_then_cropping(self):
        # Without chroma subsampling the window's edge has no neighbours.
        data = encode(pillow.fromarray(RGB), "JPEG", subsampling=0)
        for channels in (1, 3):
            whole = decode(tf.constant(data), channels).numpy()
            window = decode_part(data, channels)
            self.assertEqual(window.shape, (*WINDOW[2:], channels))
            # `decode` uses TensorFlow's faster, less exact transform.
            np.testing.assert_allclose(
                window.astype("int"), cut(whole).astype("int"), atol=3
            )

    def test_jpeg_equals_pillow(self):
        data = encode(pillow.fromarray(RGB), "JPEG", subsampling=0)
        expected = np.asarray(pillow.open(io.BytesIO(data)))
        np.testing.assert_array_equal(decode_part(data, 3), cut(expected))

    def test_jpeg_with_subsampling_is_close_to_pillow(self):
        data = encode(pillow.fromarray(RGB), "JPEG", subsampling=2)
        expected = np.asarray(pillow.open(io.BytesIO(data)), "int")
        difference = np.abs(decode_part(data, 3) - cut(expected))
        # Colour is interpolated, at the edge without what lies beyond it.
        np.testing.assert_array_equal(difference[2:-2, 2:-2], 0)
        self.assertLess(difference.max(), 12)

    def test_truncated_jpeg_fails_wherever_the_window_is(self):
        noise = RNG.integers(0, 256, (53, 71, 3), "uint8")
        data = encode(pillow.fromarray(noise), "JPEG")
        for length in (len(data) - 2, len(data) * 9 // 10, 20, 0):
            with self.assertRaises(tf.errors.InvalidArgumentError):
                decode_part(data[:length], 3)

    def test_bytes_after_a_jpeg_are_ignored(self):
        data = encode(pillow.fromarray(RGB), "JPEG", subsampling=0)
        np.testing.assert_allclose(
            decode_part(data + b"\0\0\0\0", 3).astype("int"),
            decode_part(data, 3).astype("int"),
            # The way round it uses the less exact transform.
            atol=3,
        )

    def test_what_is_no_image_fails(self):
        for data in (b"", b"GIF", b"a text that is long enough to read"):
            with self.assertRaises(tf.errors.InvalidArgumentError):
                decode_part(data, 3)
