import numpy as np
from keras import ops

from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_grid

# Half the width of the kernel, in pixels of the smaller image.
SUPPORT = 3


def resize_lanczos(images, size):
    """Resizes images with Lanczos's kernel, antialiased, as Pillow does.

    One matrix product per axis, so it compiles on every backend:
    `keras.ops.image.resize` has no Lanczos under torch, and XLA none of
    TensorFlow's antialiased kinds. Like Pillow's, values can overshoot those of
    the images; like `Image.resize` on float images, they are not clipped.

    Args:
        images: Float tensor of shape `(batch_size, height, width, channels)`.
        size: tuple of int. New `(height, width)` in pixels.

    Returns:
        Tensor of shape `(batch_size, *size, channels)`, same dtype. Images that
        have the size already are returned as they are.
    """
    check_rank("images", images, IMAGES)
    size = check_grid(size, "size")
    _, height, width, channels = images.shape
    if (height, width) == tuple(size):
        return images
    rows = ops.cast(_weights(height, size[0]), images.dtype)
    columns = ops.cast(_weights(width, size[1]), images.dtype)
    x = ops.reshape(images, (-1, height, width * channels))
    x = ops.matmul(rows, x)
    x = ops.reshape(x, (-1, size[0], width, channels))
    return ops.matmul(columns, x)


def _weights(old, new):
    """Returns the `(new, old)` matrix that resizes one axis."""
    scale = old / new
    position = (np.arange(new)[:, None] + 0.5) * scale - 0.5
    # Wider when images shrink, so that every old pixel counts.
    distance = (np.arange(old) - position) / max(scale, 1)
    weights = np.sinc(distance) * np.sinc(distance / SUPPORT)
    weights = np.where(np.abs(distance) < SUPPORT, weights, 0)
    return (weights / weights.sum(1, keepdims=True)).astype("float32")
