"""Image files into pixels."""

import functools

import numpy as np

from keras_mim._requirements import require
from keras_mim.data._file_parts import bytes_at
from keras_mim.data._file_parts import cut
from keras_mim.data._file_parts import number_at
from keras_mim.data._file_parts import part_after
from keras_mim.data._file_parts import starts_with
from keras_mim.data._orientation import read_orientation
from keras_mim.data._orientation import stored_window
from keras_mim.data._orientation import swap_sides
from keras_mim.data._orientation import turn_upright

# By value: TensorFlow has no other way from a number to its bytes.
BYTES = [bytes([value]) for value in range(256)]
# ITU-R 601-2, Pillow's and JPEG's.
NOTHING = np.zeros((0, 0, 3), "uint8")
GREY_WEIGHTS = (0.299, 0.587, 0.114)


def decode_window(data, channels, choose_window, resize):
    """Decodes a window of an encoded image and resizes it.

    What is read, and how, is told in guides/images.md. The format is told by
    the first bytes of the content, not the file name. Decoders are never asked
    to find out the number of frames or channels for themselves: TensorFlow's
    then writes beyond its memory for some files. JPEG is decoded and cropped in
    one step, which leaves out the blocks outside the window; other formats
    are decoded whole.

    Args:
        data: string tensor, the content of the file.
        channels: int. 1 for grey or 3 for RGB.
        choose_window: callable. Takes the int32 size `(height, width)` of the
            upright image and returns the int32 window
            `(top, left, height, width)`.
        resize: callable. Takes the window's pixels, in [0, 255], a uint8 or
            float32 tensor of shape `(height, width, channels)`, and returns
            a float32 tensor, linear in them.

    Returns:
        What `resize` returns. It fails when it runs if the content is damaged,
        truncated or no image.
    """
    tf = require("tensorflow")

    def decode_plain():
        size = tf.io.extract_jpeg_shape(data)[:2]
        return resize(_crop_jpeg(data, choose_window(size), channels))

    def decode_other():
        pixels = _decode_other(data, choose_window, resize)
        if channels == 3:
            return pixels
        # Once it is small: resizing and weighting can change places.
        return tf.tensordot(pixels, tf.constant(GREY_WEIGHTS), 1)[..., None]

    # What most programs write, known by a few bytes: the segment of JFIF and
    # then tables, so that there is no orientation, and colors are RGB or grey.
    is_plain = (
        starts_with(data, b"\xff\xd8\xff\xe0\x00\x10")
        & (bytes_at(data, 20, 2) == b"\xff\xdb")
        & _has_end(data)
    )
    return tf.cond(is_plain, decode_plain, decode_other)


def crop_pixels(pixels, window):
    """Cuts the window `(top, left, height, width)` out of `pixels`."""
    top, left, height, width = window[0], window[1], window[2], window[3]
    return pixels[top : top + height, left : left + width]


def _decode_other(data, choose_window, resize):
    """Decodes a window of what may be any file as RGB, and resizes it."""
    tf = require("tensorflow")
    orientation, whole, deep = _read_other()(data)
    is_jpeg = _is_whole_jpeg(data)
    size = tf.cond(
        is_jpeg,
        lambda: tf.io.extract_jpeg_shape(data)[:2],
        lambda: tf.maximum(tf.shape(whole), tf.shape(deep))[:2],
    )
    size = swap_sides(size, orientation)
    window = stored_window(choose_window(size), size, orientation)

    def as_floats(pixels):
        return tf.cast(pixels, "float32")

    pixels = tf.case(
        [
            (is_jpeg, lambda: as_floats(_crop_jpeg(data, window))),
            (
                tf.size(deep) > 0,
                lambda: as_floats(crop_pixels(deep, window)) / 257,
            ),
        ],
        default=lambda: as_floats(crop_pixels(whole, window)),
    )
    pixels = tf.cond(
        orientation == 1,
        lambda: pixels,
        lambda: turn_upright(pixels, orientation),
    )
    return resize(tf.ensure_shape(pixels, (None, None, 3)))


@functools.cache
def _read_other():
    """Returns the function for all but plain JPEG, traced once for all.

    It takes the content of a file, and returns the orientation and two tensors
    of shape `(height, width, 3)`, one of which is empty: the pixels in uint8,
    and in uint16. Both are empty if it is a JPEG of which a window alone can
    be decoded.
    """
    tf = require("tensorflow")

    def read(data):
        def decode_bytes():
            pixels = tf.case(
                [
                    (_is_whole_jpeg(data), lambda: NOTHING),
                    (
                        # Decoding a window stops below it, and so would not
                        # notice that a JPEG is truncated. One without its end
                        # marker is therefore decoded whole, which fails if rows
                        # are missing, and not if bytes were appended.
                        starts_with(data, b"\xff\xd8\xff"),
                        lambda: tf.io.decode_jpeg(
                            data, 3, dct_method="INTEGER_ACCURATE"
                        ),
                    ),
                    (starts_with(data, b"BM"), lambda: _decode_bmp(data)),
                ],
                default=lambda: _decode_image(data),
            )
            return pixels, NOTHING.astype("uint16")

        def decode_deep():
            return NOTHING, tf.io.decode_png(data, 3, "uint16")

        is_deep = starts_with(data, b"\x89PNG") & (
            bytes_at(data, 24, 1) == b"\x10"
        )
        pixels, deep = tf.cond(is_deep, decode_deep, decode_bytes)
        shape = (None, None, 3)
        return (
            read_orientation(data),
            tf.ensure_shape(pixels, shape),
            tf.ensure_shape(deep, shape),
        )

    signature = [tf.TensorSpec((), "string")]
    return tf.function(read, input_signature=signature, autograph=False)


def _decode_image(data):
    """Decodes PNG, GIF and WebP; fails for what is none of them."""
    tf = require("tensorflow")
    image = tf.cond(
        _has_flag(data, b"VP8X", 20, 0x02),
        lambda: _first_frame(data),
        lambda: data,
    )

    def decode(channels):
        pixels = tf.io.decode_image(image, channels, expand_animations=False)
        return tf.ensure_shape(pixels, (None, None, channels))[..., :3]

    # The decoder for WebP leaves out no alpha, the others do.
    return tf.cond(
        _is_webp_with_alpha(image), lambda: decode(4), lambda: decode(3)
    )


def _is_whole_jpeg(data):
    return starts_with(data, b"\xff\xd8\xff") & _has_end(data)


def _has_end(data):
    """Whether a JPEG has its end marker."""
    # TensorFlow's own count from the end fails for a shorter file, and with
    # the file's bytes in the message, which Python cannot read as text.
    length = require("tensorflow").strings.length(data)
    return cut(data, length - 2, 2) == b"\xff\xd9"


def _crop_jpeg(data, window, channels=3):
    # Pillow's way of decoding; TensorFlow's default is up to 7 of 255 levels
    # off, and not measurably faster.
    return require("tensorflow").io.decode_and_crop_jpeg(
        data, window, channels=channels, dct_method="INTEGER_ACCURATE"
    )


def _first_frame(data):
    """Makes a file of the first frame of an animated WebP."""
    tf = require("tensorflow")
    # Behind the chunk's size and the frame's place, size and duration.
    frame = part_after(data, b"ANMF")
    frame = cut(frame, 20, tf.strings.length(frame))
    # A chunk of alpha comes before that of the pixels, and is not wanted.
    size = _chunk_size(frame)
    has_alpha = starts_with(frame, b"ALPH")
    start = tf.where(has_alpha, 8 + size + size % 2, 0)
    frame = cut(frame, start, tf.strings.length(frame))
    frame = cut(frame, 0, 8 + _chunk_size(frame))
    length = tf.bitcast([4 + tf.strings.length(frame)], "uint8")[0]
    length = tf.strings.reduce_join(tf.gather(BYTES, tf.cast(length, "int32")))
    return b"RIFF" + length + b"WEBP" + frame


def _is_webp_with_alpha(data):
    return _has_flag(data, b"VP8X", 20, 0x10) | _has_flag(
        data, b"VP8L", 24, 0x10
    )


def _has_flag(data, chunk, position, bit):
    """Whether a WebP begins with a chunk that has a bit set in a byte."""
    tf = require("tensorflow")
    is_chunk = starts_with(data, b"RIFF") & (bytes_at(data, 12, 4) == chunk)
    flags = tf.io.decode_raw(bytes_at(data, position, 1), "uint8")[0]
    return is_chunk & (flags & bit == bit)


def _chunk_size(chunk):
    # Anything may stand there in a damaged file; sums must stay in 31 bits.
    size = number_at(chunk, 4, "int32")
    return require("tensorflow").clip_by_value(size, 0, 2**30)


def _decode_bmp(data):
    """Decodes an uncompressed BMP of 8, 24 or 32 bits a pixel."""
    tf = require("tensorflow")
    # What TensorFlow's decoder does not look at, before it misunderstands it.
    header_size = number_at(data, 14, "int32")
    bits = number_at(data, 28, "uint16")
    compression = number_at(data, 30, "int32")
    masks = bytes_at(data, 54, 12)
    usual_masks = b"\0\0\xff\0" + b"\0\xff\0\0" + b"\xff\0\0\0"
    is_understood = (
        (header_size >= 40)
        & tf.reduce_any(bits == [8, 24, 32])
        & ((compression == 0) | (compression == 3) & (masks == usual_masks))
    )
    tf.raw_ops.Assert(
        condition=is_understood,
        data=["BMP files must be uncompressed, of 8, 24 or 32 bits a pixel"],
    )
    pixels = tf.io.decode_bmp(tf.where(is_understood, data, b""))

    def look_up_colors():
        # The palette, blue green red 0, lies between headers and pixels.
        start = 14 + header_size
        palette = cut(data, start, number_at(data, 10, "int32") - start)
        palette = cut(palette, 0, tf.strings.length(palette) // 4 * 4)
        palette = tf.reshape(tf.io.decode_raw(palette, "uint8"), (-1, 4))
        return tf.gather(palette[:, 2::-1], tf.cast(pixels[..., 0], "int32"))

    return tf.cond(bits == 8, look_up_colors, lambda: pixels[..., :3])
