"""How a camera held the image: the orientation that EXIF tells."""

from keras_mim._requirements import require
from keras_mim.data._file_parts import cut
from keras_mim.data._file_parts import number_at
from keras_mim.data._file_parts import part_after
from keras_mim.data._file_parts import starts_with

ORIENTATION = 0x0112  # The tag's number: EXIF 2.32, section 4.6.4.
# A JPEG's segment has at most 64 KiB, and few come before that of EXIF.
JPEG_HEAD = 2**18


def read_orientation(data):
    """Reads the orientation of an image from the EXIF part of its file.

    Args:
        data: string tensor, the content of a JPEG, PNG or WebP file.

    Returns:
        int32 scalar tensor, 1 to 8 as in EXIF. It is 1, upright, where the
        file says nothing, or what makes no sense.
    """
    tf = require("tensorflow")
    is_jpeg = starts_with(data, b"\xff\xd8\xff")
    is_png = starts_with(data, b"\x89PNG")
    head = cut(data, 0, tf.where(is_jpeg, JPEG_HEAD, tf.strings.length(data)))
    name = tf.where(is_png, b"eXIf", b"EXIF")
    tiff = part_after(head, tf.where(is_jpeg, b"Exif\0\0", name))
    # The chunk's size; then, by some programs, JPEG's prefix.
    is_webp = starts_with(data, b"RIFF")
    tiff = cut(tiff, tf.where(is_webp, 4, 0), tf.strings.length(tiff))
    has_prefix = starts_with(tiff, b"Exif\0\0")
    tiff = cut(tiff, tf.where(has_prefix, 6, 0), tf.strings.length(tiff))
    return _read_tag(tiff)


def stored_window(window, size, orientation):
    """Finds a window of the upright image in the image as it is stored.

    Args:
        window: int32 tensor `(top, left, height, width)`, in the upright image.
        size: int32 tensor `(height, width)` of the upright image.
        orientation: int32 scalar tensor.

    Returns:
        int32 tensor `(top, left, height, width)`, in the stored image.
    """
    tf = require("tensorflow")
    corner, sides = window[:2], window[2:]
    reversed_axes = tf.stack(_reversed_axes(orientation))
    corner = tf.where(reversed_axes, size - corner - sides, corner)
    corner = swap_sides(corner, orientation)
    return tf.concat([corner, swap_sides(sides, orientation)], axis=0)


def swap_sides(size, orientation):
    """Returns `(height, width)`, swapped if the image lies on its side."""
    tf = require("tensorflow")
    return tf.where(orientation > 4, size[::-1], size)


def turn_upright(pixels, orientation):
    """Turns a stored image, or a window of it, upright.

    Args:
        pixels: tensor of shape `(height, width, channels)`.
        orientation: int32 scalar tensor.

    Returns:
        Tensor of the same dtype.
    """
    tf = require("tensorflow")
    axes = tf.where(orientation > 4, [1, 0, 2], [0, 1, 2])
    # The operation that takes its axes from a tensor: no branches of a graph.
    return tf.raw_ops.Reverse(
        tensor=tf.transpose(pixels, axes),
        dims=tf.stack([*_reversed_axes(orientation), False]),
    )


def _reversed_axes(orientation):
    """Whether rows, and columns, are in reverse once sides are swapped."""
    kind = orientation % 4  # 5 to 8 are 1 to 4 with swapped sides.
    return (kind == 3) | (kind == 0), (kind == 2) | (kind == 3)


def _read_tag(tiff):
    """Reads the orientation from a TIFF structure's first directory."""
    tf = require("tensorflow")
    is_little = starts_with(tiff, b"II*\0")
    is_tiff = is_little | starts_with(tiff, b"MM\0*")

    def number(position, dtype):
        return tf.where(
            is_little,
            number_at(tiff, position, dtype),
            number_at(tiff, position, dtype, little_endian=False),
        )

    directory = number(4, "int32")
    # An entry has 12 bytes: tag, type, count (two numbers each), value.
    entries = cut(tiff, directory + 2, 12 * number(directory, "uint16"))
    entries = cut(entries, 0, tf.strings.length(entries) // 12 * 12)
    values = tf.where(
        is_little,
        tf.io.decode_raw(entries, "uint16"),
        tf.io.decode_raw(entries, "uint16", little_endian=False),
    )
    values = tf.reshape(tf.cast(values, "int32"), (-1, 6))
    found = tf.boolean_mask(values[:, 4], values[:, 0] == ORIENTATION)
    orientation = tf.concat([found, [1]], axis=0)[0]
    is_known = is_tiff & (orientation >= 1) & (orientation <= 8)
    return tf.where(is_known, orientation, 1)
