"""The sizes that image files say they have, before they are decoded."""

from keras_mim._requirements import require
from keras_mim.data._file_parts import bytes_at
from keras_mim.data._file_parts import number_at
from keras_mim.data._file_parts import starts_with
from keras_mim.data._first_frames import GIF_HEADER
from keras_mim.data._first_frames import color_table_size

# `PIL.Image.MAX_IMAGE_PIXELS`: 256 MiB of RGB.
MAX_PIXELS = 2**30 // 4 // 3


def count_pixels(data):
    """Reads from its header how many pixels an image has.

    Args:
        data: string tensor, the content of a PNG, BMP, GIF or WebP of one
            frame.

    Returns:
        int64 scalar tensor: the pixels that a decoder makes room for. It is 0
        for what is none of these.
    """
    tf = require("tensorflow")

    def is_webp(chunk):
        return starts_with(data, b"RIFF") & (bytes_at(data, 12, 4) == chunk)

    def number(position, dtype="int32", **kwargs):
        return number_at(data, position, dtype, **kwargs)

    def png():
        return [number(place, little_endian=False) for place in (16, 20)]

    def bmp():
        # A negative height says that the first row is the top one.
        return [number(18), number(22)]

    def gif():
        # The canvas, or the frame, which may be larger.
        frame = GIF_HEADER + color_table_size(number(10, "uint16") % 256)
        return tf.maximum(
            [number(place, "uint16") for place in (6, 8)],
            [number(frame + place, "uint16") for place in (5, 7)],
        )

    def webp():
        return [number(place, "uint16") % 2**14 for place in (26, 28)]

    def webp_without_loss():
        bits = number(21)
        shifted = tf.bitwise.right_shift(bits, 14)
        return [1 + side % 2**14 for side in (bits, shifted)]

    def webp_with_more():
        return [1 + number(place) % 2**24 for place in (24, 27)]

    def area(sides):
        return lambda: tf.reduce_prod(tf.abs(tf.cast(sides(), "int64")))

    return tf.case(
        [
            (starts_with(data, b"\x89PNG"), area(png)),
            (starts_with(data, b"BM"), area(bmp)),
            (starts_with(data, b"GIF8"), area(gif)),
            (is_webp(b"VP8 "), area(webp)),
            (is_webp(b"VP8L"), area(webp_without_loss)),
            (is_webp(b"VP8X"), area(webp_with_more)),
        ],
        default=lambda: tf.constant(0, "int64"),
    )
