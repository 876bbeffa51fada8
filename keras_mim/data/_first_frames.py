"""Files of one frame, made of those that may have many."""

from keras_mim._requirements import require
from keras_mim.data._file_parts import cut
from keras_mim.data._file_parts import has_flag
from keras_mim.data._file_parts import number_at
from keras_mim.data._file_parts import part_after
from keras_mim.data._file_parts import starts_with

# By value: TensorFlow has no other way from a number to its bytes.
BYTES = [bytes([value]) for value in range(256)]
GIF_HEADER = 13
# What comes next in a GIF: a block; parts of an extension, or of an image.
BLOCK, EXTENSION, IMAGE, END, COMPLETE = range(5)


def first_frame(data):
    """Makes a file of the first frame of an animated WebP, or of a GIF.

    TensorFlow's decoder of GIF reads all frames into memory before it takes
    the first; that of WebP refuses them. Alpha and transparency are left out.

    Args:
        data: string tensor, the content of any file.

    Returns:
        String tensor. Another file is given as it is.
    """
    tf = require("tensorflow")
    return tf.case(
        [
            (starts_with(data, b"GIF8"), lambda: _of_gif(data)),
            (has_flag(data, b"VP8X", 20, 0x02), lambda: _of_webp(data)),
        ],
        default=lambda: data,
    )


def color_table_size(flags):
    """Returns the bytes of a GIF's color table that int32 flags tell of."""
    tf = require("tensorflow")
    shift = tf.bitwise.left_shift
    return tf.where(flags >= 128, 3 * shift(2, flags % 8), 0)


def _of_gif(data):
    tf = require("tensorflow")
    content = tf.io.decode_raw(data, "uint8")
    end = tf.size(content)

    def at(position):
        position = tf.clip_by_value(position, 0, end - 1)
        return tf.cast(content[position], "int32")

    def walk(position, state, start):
        value = at(position)
        is_image = (state == BLOCK) & (value == 0x2C)
        is_extension = (state == BLOCK) & (value == 0x21)
        # A descriptor of 10 bytes, colors, and a number for the decompression.
        image_header = 11 + color_table_size(at(position + 9))
        step = tf.where(is_extension, 2, 1 + value)
        step = tf.where(is_image, image_header, step)
        next_state = tf.where(
            state == BLOCK,
            tf.where(is_image, IMAGE, tf.where(is_extension, EXTENSION, END)),
            # A part of no bytes is the last one.
            tf.where(
                value > 0,
                state,
                tf.where(state == IMAGE, COMPLETE, BLOCK),
            ),
        )
        start = tf.where(is_image, position, start)
        return position + step, next_state, start

    header = GIF_HEADER + color_table_size(at(GIF_HEADER - 3))
    position, state, start = tf.while_loop(
        lambda position, state, start: (state < END) & (position < end),
        walk,
        (header, tf.constant(BLOCK), tf.constant(0)),
    )
    image = cut(data, start, position - start)
    # A truncated image gets no end, and so is not taken for a whole one.
    trailer = tf.where(state == COMPLETE, b";", b"")
    return cut(data, 0, header) + image + trailer


def _of_webp(data):
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


def _chunk_size(chunk):
    # Anything may stand there in a damaged file; sums must stay in 31 bits.
    size = number_at(chunk, 4, "int32")
    return require("tensorflow").clip_by_value(size, 0, 2**30)
