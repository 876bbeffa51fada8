"""Bytes, numbers and parts of an image file, inside of `tf.data`."""

from keras_mim._requirements import require


def starts_with(data, prefix):
    """Whether the content of a file starts with these bytes."""
    tf = require("tensorflow")
    return tf.strings.substr(data, 0, len(prefix)) == prefix


def bytes_at(data, position, count):
    """Returns a part of a file, filled up with zeros beyond its end."""
    tf = require("tensorflow")
    return tf.strings.substr(
        cut(data, position, count) + b"\0" * count, 0, count
    )


def number_at(data, position, dtype, little_endian=True):
    """Returns a number of a file, `"uint16"` or `"int32"`, as int32."""
    tf = require("tensorflow")
    part = bytes_at(data, position, {"uint16": 2, "int32": 4}[dtype])
    number = tf.io.decode_raw(part, dtype, little_endian=little_endian)
    return tf.cast(number[0], "int32")


def cut(data, position, length):
    """Returns a part of a file, as far as it is there."""
    tf = require("tensorflow")
    end = tf.strings.length(data)
    position = tf.clip_by_value(position, 0, end)
    return tf.strings.substr(data, position, tf.clip_by_value(length, 0, end))


def part_after(data, name):
    """Returns what comes after the first place of a name, or nothing.

    A search is much less of a graph than a walk from part to part, and made in
    less time than the walk takes. What is found by chance in the pixels is
    for the caller to tell.

    Args:
        data: string tensor.
        name: string tensor or bytes.

    Returns:
        String scalar tensor.
    """
    tf = require("tensorflow")
    pieces = tf.raw_ops.StringSplitV2(input=[data], sep=name, maxsplit=1)
    return tf.concat([pieces.values, ["", ""]], axis=0)[1]


def has_flag(data, chunk, position, bit):
    """Whether a WebP begins with a chunk that has a bit set in a byte."""
    tf = require("tensorflow")
    is_chunk = starts_with(data, b"RIFF") & (bytes_at(data, 12, 4) == chunk)
    flags = tf.io.decode_raw(bytes_at(data, position, 1), "uint8")[0]
    return is_chunk & (flags & bit == bit)
