"""Image files into pixels."""

import functools

import numpy as np

from keras_mim._requirements import require
from keras_mim.data._file_parts import bytes_at
from keras_mim.data._file_parts import cut
from keras_mim.data._file_parts import has_flag
from keras_mim.data._file_parts import number_at
from keras_mim.data._file_parts import starts_with
from keras_mim.data._first_frames import first_frame
from keras_mim.data._image_sizes import count_pixels
from keras_mim.data._orientation import read_orientation
from keras_mim.data._orientation import stored_window
from keras_mim.data._orientation import swap_sides
from keras_mim.data._orientation import turn_upright

# ITU-R 601-2, Pillow's and JPEG's.
REDUCING_GAP = 3
NOTHING = np.zeros((0, 0, 3), "uint8")
GREY_WEIGHTS = (0.299, 0.587, 0.114)


def decode_window(data, channels, choose_window, resize, size, max_pixels):
    """Decodes a window of an encoded image and resizes it.

    What is read, and how, is told in guides/images.md. The format is told by
    the first bytes of the content, not the file name. Decoders are never asked
    to find out the number of frames or channels for themselves: TensorFlow's
    then writes beyond its memory for some files. JPEG is decoded and cropped in
    one step, which leaves out the blocks outside the window, and at a half, a
    quarter or an eighth of its size where that leaves enough; other formats
    are decoded whole.

    Args:
        data: string tensor, the content of the file.
        channels: int. 1 for grey or 3 for RGB.
        choose_window: callable. Takes the int32 size `(height, width)` of the
            upright image and returns the int32 window
            `(top, left, height, width)`.
        resize: callable. Takes the window's pixels, in [0, 255], a uint8 or
            uint16 tensor of shape `(height, width, channels)`, and the size
            `(height, width)` wanted, ints or a tensor. Returns a float32
            tensor, linear in the pixels.
        size: pair of ints. The height and width wanted.
        max_pixels: int. The largest image that is decoded.

    Returns:
        What `resize` returns. It fails when it runs if the content is damaged,
        truncated, of more pixels, or no image.
    """
    tf = require("tensorflow")

    def decode_plain():
        window = choose_window(_jpeg_size(data, max_pixels))
        return resize(_crop_jpeg(data, window, size, channels), size)

    def decode_other():
        pixels = _decode_other(data, choose_window, resize, size, max_pixels)
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


def _decode_other(data, choose_window, resize, size, max_pixels):
    """Decodes a window of what may be any file as RGB, and resizes it."""
    tf = require("tensorflow")
    orientation, whole, deep = _read_other()(data, max_pixels)
    is_jpeg = _is_whole_jpeg(data)
    stored_size = tf.cond(
        is_jpeg,
        lambda: _jpeg_size(data, max_pixels),
        lambda: tf.maximum(tf.shape(whole), tf.shape(deep))[:2],
    )
    upright_size = swap_sides(stored_size, orientation)
    window = choose_window(upright_size)
    window = stored_window(window, upright_size, orientation)

    # As the image lies, and turned at last, when there are few pixels to turn.
    stored = swap_sides(tf.constant(size), orientation)
    pixels = tf.cond(
        is_jpeg,
        lambda: _crop_jpeg(data, window, stored),
        lambda: crop_pixels(whole, window),
    )
    pixels = tf.cond(
        tf.size(deep) > 0,
        lambda: resize(crop_pixels(deep, window), stored) / 257,
        lambda: resize(pixels, stored),
    )
    pixels = tf.cond(
        orientation == 1,
        lambda: pixels,
        lambda: turn_upright(pixels, orientation),
    )
    return tf.ensure_shape(pixels, (*size, 3))


@functools.cache
def _read_other():
    """Returns the function for all but plain JPEG, traced once for all.

    It takes the content of a file and the largest number of pixels. It returns
    the orientation and two tensors of shape `(height, width, 3)`, one of which
    is empty: the pixels in uint8, and in uint16. Both are empty if it is a JPEG
    of which a window alone can be decoded.
    """
    tf = require("tensorflow")

    def read(data, max_pixels):
        orientation = read_orientation(data)
        image = first_frame(data)
        with _limit(count_pixels(image), max_pixels):
            image = tf.identity(image)

        def decode_whole_jpeg():
            with tf.control_dependencies([_jpeg_size(image, max_pixels)]):
                return tf.io.decode_jpeg(
                    image, 3, dct_method="INTEGER_ACCURATE"
                )

        def decode_bytes():
            pixels = tf.case(
                [
                    (_is_whole_jpeg(image), lambda: NOTHING),
                    # Decoding a window stops below it, and so would not notice
                    # that a JPEG is truncated. One without its end marker is
                    # therefore decoded whole, which fails if rows are missing,
                    # and not if bytes were appended.
                    (starts_with(image, b"\xff\xd8\xff"), decode_whole_jpeg),
                    (starts_with(image, b"BM"), lambda: _decode_bmp(image)),
                ],
                default=lambda: _decode_image(image),
            )
            return pixels, NOTHING.astype("uint16")

        def decode_deep():
            return NOTHING, tf.io.decode_png(image, 3, "uint16")

        is_deep = starts_with(image, b"\x89PNG") & (
            bytes_at(image, 24, 1) == b"\x10"
        )
        pixels, deep = tf.cond(is_deep, decode_deep, decode_bytes)
        shape = (None, None, 3)
        return (
            orientation,
            tf.ensure_shape(pixels, shape),
            tf.ensure_shape(deep, shape),
        )

    signature = [tf.TensorSpec((), "string"), tf.TensorSpec((), "int64")]
    return tf.function(read, input_signature=signature, autograph=False)


def _limit(count, max_pixels):
    """Returns the context in which what is made needs a check to hold."""
    tf = require("tensorflow")
    check = tf.raw_ops.Assert(
        condition=tf.cast(count, "int64") <= max_pixels,
        data=["An image has more pixels than `max_pixels`:", count],
    )
    return tf.control_dependencies([check] if check is not None else [])


def _decode_image(image):
    """Decodes PNG, GIF and WebP; fails for what is none of them."""
    tf = require("tensorflow")

    def decode(channels):
        pixels = tf.io.decode_image(image, channels, expand_animations=False)
        return tf.ensure_shape(pixels, (None, None, channels))[..., :3]

    # The decoder for WebP leaves out no alpha, the others do.
    has_alpha = has_flag(image, b"VP8X", 20, 0x10) | has_flag(
        image, b"VP8L", 24, 0x10
    )
    return tf.cond(has_alpha, lambda: decode(4), lambda: decode(3))


def _is_whole_jpeg(data):
    return starts_with(data, b"\xff\xd8\xff") & _has_end(data)


def _has_end(data):
    """Whether a JPEG has its end marker."""
    # TensorFlow's own count from the end fails for a shorter file, and with
    # the file's bytes in the message, which Python cannot read as text.
    length = require("tensorflow").strings.length(data)
    return cut(data, length - 2, 2) == b"\xff\xd9"


def _jpeg_size(data, max_pixels):
    """Returns the int32 size `(height, width)` of a JPEG, if not too large."""
    tf = require("tensorflow")
    size = tf.io.extract_jpeg_shape(data)[:2]
    with _limit(tf.reduce_prod(tf.cast(size, "int64")), max_pixels):
        return tf.identity(size)


def _crop_jpeg(data, window, size, channels=3):
    """Decodes a window of a JPEG, smaller where it will be resized to less.

    JPEG's blocks of 8 x 8 pixels can be decoded to 4, 2 or 1 a side. That is
    faster and needs less memory, and makes no difference to be seen as long as
    three pixels or more become one, which is what Pillow's documentation of
    `reducing_gap` says.
    """
    tf = require("tensorflow")

    def decode(ratio):
        # To the nearest of the larger pixels.
        corner = (window[:2] + ratio // 2) // ratio
        end = (window[:2] + window[2:] + ratio // 2) // ratio
        # Pillow's way of decoding; TensorFlow's default is up to 7 of 255
        # levels off, and not measurably faster.
        return tf.io.decode_and_crop_jpeg(
            data,
            tf.concat([corner, end - corner], axis=0),
            channels=channels,
            ratio=ratio,
            dct_method="INTEGER_ACCURATE",
        )

    allowed = tf.reduce_min(
        window[2:] // (REDUCING_GAP * tf.convert_to_tensor(size))
    )
    return tf.case(
        [
            (allowed >= ratio, lambda ratio=ratio: decode(ratio))
            for ratio in (8, 4, 2)
        ],
        default=lambda: decode(1),
    )


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
