from keras_mim._requirements import require


def decode_window(data, channels, choose_window):
    """Decodes a window of an encoded image.

    The format is told by the content, not the file name. JPEG is decoded and
    cropped in one step, which leaves out the blocks outside the window; PNG,
    WebP and BMP (and GIF's first frame) are decoded whole. An alpha channel
    is dropped, as Pillow's `convert("RGB")` does, and a rotation in EXIF is
    ignored, as torchvision's loader does.

    Args:
        data: string tensor, the content of the file.
        channels: int. 1 for grey or 3 for RGB.
        choose_window: callable. Takes the int32 size `(height, width)` and
            returns the int32 window `(top, left, height, width)`.

    Returns:
        uint8 tensor of shape `(height, width, channels)`. It fails when it
        runs if the content is damaged, truncated or no image.
    """
    tf = require("tensorflow")

    def jpeg_window():
        window = choose_window(tf.io.extract_jpeg_shape(data)[:2])
        # Pillow's way of decoding; TensorFlow's default is up to 7 of 255
        # levels off, and not measurably faster.
        return tf.io.decode_and_crop_jpeg(
            data, window, channels=channels, dct_method="INTEGER_ACCURATE"
        )

    def other_window():
        pixels = decode(data, channels)
        return crop_pixels(pixels, choose_window(tf.shape(pixels)[:2]))

    # Decoding a window stops below it, and so would not notice that a JPEG
    # is truncated. One without its end marker is therefore decoded whole,
    # which fails if rows are missing, and not if bytes were appended.
    ends = tf.strings.substr(data, -2, 2) == b"\xff\xd9"
    pixels = tf.cond(tf.io.is_jpeg(data) & ends, jpeg_window, other_window)
    return tf.ensure_shape(pixels, (None, None, channels))


def decode(data, channels):
    """Decodes a whole JPEG, PNG, WebP or BMP as grey (1) or RGB (3)."""
    tf = require("tensorflow")
    # TensorFlow converts channels for some formats only, so that is done
    # here: a file has 1 (grey), 2 (grey, alpha), 3 or 4 (RGB, alpha).
    pixels = tf.io.decode_image(data, channels=0, expand_animations=False)
    pixels = tf.ensure_shape(pixels, (None, None, None))
    pixels = tf.cond(
        _has_palette(data), lambda: _apply_palette(data, pixels), lambda: pixels
    )
    is_grey = tf.shape(pixels)[2] < 3
    if channels == 1:
        return tf.cond(
            is_grey,
            lambda: pixels[..., :1],
            lambda: tf.image.rgb_to_grayscale(pixels[..., :3]),
        )
    return tf.cond(
        is_grey,
        lambda: tf.repeat(pixels[..., :1], 3, axis=2),
        lambda: pixels[..., :3],
    )


def crop_pixels(pixels, window):
    """Cuts the window `(top, left, height, width)` out of `pixels`."""
    top, left, height, width = window[0], window[1], window[2], window[3]
    return pixels[top : top + height, left : left + width]


def _has_palette(data):
    """Whether the file is a BMP of 8-bit colour numbers."""
    tf = require("tensorflow")
    header = tf.strings.substr(data, 0, 30)
    return (tf.strings.substr(header, 0, 2) == b"BM") & (
        tf.strings.substr(header, 28, 2) == b"\x08\x00"
    )


def _apply_palette(data, numbers):
    """Looks a BMP's colours up, which `decode_image` leaves as numbers."""
    tf = require("tensorflow")
    # Bytes 10 to 17: where the pixels begin, and the second header's size.
    # The palette, blue green red 0, lies between that header and the pixels.
    fields = tf.io.decode_raw(tf.strings.substr(data, 10, 8), "int32")
    start = 14 + fields[1]
    palette = tf.strings.substr(data, start, fields[0] - start)
    palette = tf.reshape(tf.io.decode_raw(palette, "uint8"), (-1, 4))
    return tf.gather(palette[:, 2::-1], tf.cast(numbers[..., 0], "int32"))
