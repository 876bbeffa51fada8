import io
import struct
import unittest
import zlib

import numpy as np
import pytest

from keras_mim.data import ImagePipeline
from keras_mim.data._decoding import decode_window

tf = pytest.importorskip("tensorflow")
pillow = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")

RNG = np.random.default_rng(0)
# Smooth, so that JPEG and palettes keep it; odd sides, so that rows are padded.
ROWS, COLUMNS = np.mgrid[:53, :71]
RGB = np.stack(
    [4 * ROWS, 3 * COLUMNS, 255 - 2 * ROWS - COLUMNS], axis=-1
).astype("uint8")
ALPHA = RNG.integers(0, 256, (53, 71, 1), "uint8")
WINDOW = (5, 9, 33, 41)
LOSSLESS = (
    ("PNG", {}),
    ("BMP", {}),
    ("WEBP", {"lossless": True, "exact": True}),
)


def encode(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


# One graph for all files, as in a pipeline.
@tf.function(input_signature=[tf.TensorSpec((), "string")], autograph=False)
def decode_colors(data):
    return decode_part(data, 3)


@tf.function(input_signature=[tf.TensorSpec((), "string")], autograph=False)
def decode_grey(data):
    return decode_part(data, 1)


def decode_part(data, channels):
    return decode_window(
        data,
        channels,
        lambda size: tf.constant(WINDOW),
        lambda pixels, size: tf.cast(pixels, "float32"),
        WINDOW[2:],
        max_pixels=53 * 71,
    )


def cut(pixels):
    top, left, height, width = WINDOW
    return pixels[top : top + height, left : left + width]


def png_of_16_bits(pixels):
    """Writes a PNG by hand: Pillow writes no colors of 16 bits."""
    height, width, channels = pixels.shape

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.tensorflow_only  # It reads, whatever trains.
class DecodingTest(unittest.TestCase):
    def assert_decodes_as_pillow(self, data, tolerance=0):
        image = ImageOps.exif_transpose(pillow.open(io.BytesIO(data)))
        colors = image.convert("RGB")
        np.testing.assert_allclose(
            decode_colors(data), cut(np.asarray(colors)), atol=tolerance
        )
        grey = np.asarray(colors.convert("L"), "float32")
        received = decode_grey(data)
        self.assertEqual(received.shape, (*WINDOW[2:], 1))
        # Both round the weighted sum, each in its own arithmetic.
        np.testing.assert_allclose(
            received[..., 0], cut(grey), atol=tolerance + 1
        )

    def test_every_kind_of_pixels_decodes_as_in_pillow(self):
        rgb = pillow.fromarray(RGB)
        rgba = pillow.fromarray(np.concatenate([RGB, ALPHA], axis=-1))
        for mode, image, formats in (
            ("RGB", rgb, LOSSLESS),
            ("RGBA", rgba, LOSSLESS),
            ("grey", rgb.convert("L"), LOSSLESS),
            ("grey, alpha", rgba.convert("LA"), LOSSLESS[::2]),
            ("black and white", rgb.convert("1"), LOSSLESS[:1]),
            ("256 colors", rgb.quantize(256), LOSSLESS[:2]),
            ("100 colors", rgb.quantize(100), LOSSLESS[:2]),
            ("13 colors", rgb.quantize(13), LOSSLESS[:1]),
        ):
            for file_format, options in formats:
                with self.subTest(f"{mode}, {file_format}"):
                    self.assert_decodes_as_pillow(
                        encode(image, file_format, **options)
                    )

    def test_transparent_color_of_a_palette_is_seen(self):
        image = pillow.fromarray(RGB).quantize(50)
        self.assert_decodes_as_pillow(encode(image, "PNG", transparency=3))

    def test_png_of_16_bits_keeps_them(self):
        # A scan of 12 bits has 16 levels of 8.
        for channels in (1, 2, 3, 4):
            deep = RNG.integers(0, 4096, (53, 71, channels), "uint16")
            data = png_of_16_bits(deep)
            shown = deep[..., :3] if channels > 2 else deep[..., [0, 0, 0]]
            with self.subTest(channels=channels):
                expected = cut(shown.astype("float32") / 257)
                np.testing.assert_allclose(
                    decode_colors(data), expected, rtol=1e-6
                )
                # ITU-R 601-2, as in Pillow.
                grey = expected @ np.float32([[0.299], [0.587], [0.114]])
                np.testing.assert_allclose(decode_grey(data), grey, rtol=1e-3)

    def test_first_frame_of_an_animation_is_read(self):
        others = [pillow.fromarray(RGB[::-1].copy())] * 2
        animation = {"save_all": True, "append_images": others}
        rgba = pillow.fromarray(
            np.concatenate([RGB, np.maximum(ALPHA, 1)], axis=-1)
        )
        rgb = pillow.fromarray(RGB)
        lossless = {"lossless": True, "exact": True, **animation}
        self.assert_decodes_as_pillow(encode(rgb, "WEBP", **lossless))
        self.assert_decodes_as_pillow(
            encode(rgb.quantize(200), "GIF", **animation)
        )
        self.assert_decodes_as_pillow(encode(rgb, "PNG", **animation))
        # With an alpha channel of its own before the frame's pixels. Pillow
        # draws the frame on a canvas, which rounds what is nearly transparent.
        data = encode(rgba, "WEBP", quality=100, **animation)
        opaque = cut(ALPHA[..., 0]) > 200
        first = pillow.open(io.BytesIO(data)).convert("RGB")
        np.testing.assert_allclose(
            decode_colors(data).numpy()[opaque],
            cut(np.asarray(first))[opaque],
            atol=2,
        )

    def test_orientation_is_applied(self):
        exif = pillow.Exif()
        for number in range(1, 9):
            exif[0x0112] = number
            for file_format, options in (
                ("JPEG", {"subsampling": 0}),
                *LOSSLESS[::2],
            ):
                image = pillow.fromarray(RGB)
                data = encode(image, file_format, exif=exif, **options)
                with self.subTest(file_format, orientation=number):
                    self.assert_decodes_as_pillow(data)

    def test_orientation_is_found_behind_other_parts_and_in_either_order(self):
        pixels = encode(pillow.fromarray(RGB), "JPEG", subsampling=0)
        entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
        other = struct.pack(">HHII", 0x0100, 4, 1, 71)
        tiff = b"MM\0*" + struct.pack(">IH", 10, 2)
        tiff = tiff[:8] + b"\0\0" + tiff[8:] + other + entry + b"\0\0\0\0"
        exif = b"Exif\0\0" + tiff
        comment = b"\xff\xfe\0\x06abcd"
        segment = b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif
        data = pixels[:20] + comment + segment + pixels[20:]
        self.assertEqual(decode_colors(data).shape, (33, 41, 3))
        image = pillow.open(io.BytesIO(data))
        self.assertEqual(image.getexif()[0x0112], 6)
        self.assert_decodes_as_pillow(data)

    def test_orientation_that_makes_no_sense_is_upright(self):
        image = pillow.fromarray(RGB)
        exif = pillow.Exif()
        for number in (0, 9, 60000):
            exif[0x0112] = number
            data = encode(image, "PNG", exif=exif)
            np.testing.assert_array_equal(decode_colors(data), cut(RGB))
        exif[0x0112] = 6
        data = encode(image, "PNG", exif=exif)
        # The directory lies beyond the end.
        broken = data.replace(b"MM\0*\0\0\0\x08", b"MM\0*\x7f\xff\xff\xff")
        self.assertNotEqual(data, broken)
        try:
            pixels = decode_colors(broken)
        except tf.errors.InvalidArgumentError:
            return  # Its checksum is wrong.
        np.testing.assert_array_equal(pixels, cut(RGB))

    def test_cmyk_jpeg_decodes_as_in_pillow(self):
        image = pillow.fromarray(RGB).convert("CMYK")
        data = encode(image, "JPEG", subsampling=0, quality=95)
        # Both round a product of two bytes, each in its own arithmetic.
        self.assert_decodes_as_pillow(data, tolerance=1)

    def test_jpeg_equals_pillow(self):
        for image in (pillow.fromarray(RGB), pillow.fromarray(RGB[..., 0])):
            data = encode(image, "JPEG", subsampling=0)
            self.assert_decodes_as_pillow(data)

    def test_jpeg_with_subsampling_is_close_to_pillow(self):
        data = encode(pillow.fromarray(RGB), "JPEG", subsampling=2)
        expected = np.asarray(pillow.open(io.BytesIO(data)), "int")
        difference = np.abs(decode_colors(data) - cut(expected))
        # Color is interpolated, at the edge without what lies beyond it.
        np.testing.assert_array_equal(difference[2:-2, 2:-2], 0)
        self.assertLess(difference.max(), 12)

    def test_truncated_files_fail_wherever_the_window_is(self):
        noise = pillow.fromarray(RNG.integers(0, 256, (53, 71, 3), "uint8"))
        others = {"save_all": True, "append_images": [noise]}
        for data in (
            encode(noise, "JPEG"),
            *(encode(noise, name, **options) for name, options in LOSSLESS),
            encode(noise, "WEBP", lossless=True, **others)[:-8000],
            encode(noise, "GIF"),
        ):
            for length in (len(data) * 9 // 10, len(data) // 3, 20, 0):
                with self.subTest(data[:12], length=length):
                    with self.assertRaises(tf.errors.InvalidArgumentError):
                        decode_colors(data[:length])

    def test_files_of_too_many_pixels_are_not_decoded(self):
        image = pillow.fromarray(np.concatenate([RGB, RGB[:1]]))
        others = {"save_all": True, "append_images": [image.rotate(9)]}
        exif = pillow.Exif()
        exif[0x0112] = 6
        small_canvas = bytearray(encode(image, "GIF"))
        small_canvas[6:10] = struct.pack("<HH", 1, 1)
        for data in (
            encode(image, "JPEG"),
            encode(image, "JPEG", exif=exif),
            encode(image, "JPEG")[:-2],
            encode(image, "PNG"),
            png_of_16_bits(np.asarray(image).astype("uint16")),
            encode(image, "BMP"),
            encode(image, "GIF", **others),
            bytes(small_canvas),
            encode(image, "WEBP"),
            encode(image, "WEBP", lossless=True),
            encode(image, "WEBP", exif=exif),
            encode(image, "WEBP", **others),
        ):
            with self.subTest(data[:16]):
                with self.assertRaisesRegex(
                    tf.errors.InvalidArgumentError, "max_pixels"
                ):
                    decode_colors(data)

    def test_large_jpegs_are_decoded_small(self):
        rows, columns = np.mgrid[:611, :803]
        pixels = np.stack(
            [
                rows / 3,
                columns / 4,
                128 + 99 * np.sin(rows / 80 + columns / 120),
            ],
            axis=-1,
        )
        exif = pillow.Exif()
        exif[0x0112] = 6
        image = pillow.fromarray(pixels.astype("uint8"))
        for options in ({}, {"exif": exif}):
            data = encode(image, "JPEG", quality=95, subsampling=0, **options)
            whole = ImageOps.exif_transpose(pillow.open(io.BytesIO(data)))
            for side in (32, 64, 96):
                transform = ImagePipeline(
                    (side, side, 3), 1, augment=False, dtype="uint8"
                ).transform
                # Ratios of 4, 2 and 1.
                small = transform.from_file(data, None)
                exact = transform.from_pixels(np.asarray(whole), None, (0, 255))
                difference = np.abs(
                    np.asarray(small, "float32") - np.asarray(exact)
                )
                # A crop begins up to half of a larger pixel away.
                self.assertLess(difference.mean(), 1.0)
                self.assertLessEqual(difference.max(), 6)

    def test_bytes_after_a_jpeg_are_ignored(self):
        data = encode(pillow.fromarray(RGB), "JPEG", subsampling=0)
        np.testing.assert_array_equal(
            decode_colors(data + b"\0\0\0\0"), decode_colors(data)
        )

    def test_what_is_no_image_fails(self):
        compressed = bytearray(encode(pillow.fromarray(RGB), "BMP"))
        compressed[30] = 1
        for data in (
            b"",
            b"\x89",
            b"GIF",
            b"a text that is long enough to read",
            b"RIFF\x20\0\0\0WAVEfmt and so on, and on",
            encode(pillow.fromarray(RGB), "TIFF"),
            bytes(compressed),
        ):
            with self.assertRaises(tf.errors.InvalidArgumentError):
                decode_colors(data)

    def test_damaged_files_fail_or_are_read(self):
        image = pillow.fromarray(RGB)
        exif = pillow.Exif()
        exif[0x0112] = 6
        others = {"save_all": True, "append_images": [image.rotate(9)]}
        files = [
            encode(image, "JPEG", exif=exif),
            encode(image.quantize(9), "PNG", exif=exif),
            png_of_16_bits(RGB.astype("uint16") * 257),
            encode(image.quantize(9), "BMP"),
            encode(image.quantize(9), "GIF", **others),
            encode(image, "WEBP", exif=exif, **others),
        ]
        read = 0
        for number in range(300):
            data = bytearray(files[number % len(files)])
            # Headers are where damage does most.
            end = len(data) if number % 2 else 64
            for place in RNG.integers(0, end, 1 + number % 4):
                data[place] = RNG.integers(0, 256)
            try:
                decode_colors(bytes(data))
                read += 1
            except (
                tf.errors.InvalidArgumentError,
                tf.errors.ResourceExhaustedError,
            ):
                pass
        self.assertGreater(read, 30)
        self.assertLess(read, 270)
