import math

import numpy as np
from keras import ops

from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._array_checks import static_sizes
from keras_mim._checks import check
from keras_mim._checks import check_counts

# The least length a histogram is divided by, as in the references.
EPSILON = 1e-12


def hog(images, num_bins=9, cell_size=8, gaussian_window=16):
    """Returns histograms of oriented gradients, one per cell and channel.

    - Gradient: Sobel's 3x3 kernels, `[1, 2, 1]` across and `[1, 0, -1]` along,
      on each channel by itself; images are reflected by one pixel.
    - Weight: `sqrt(x ** 2 + y ** 2)` of the gradient, times the window. This
      is tiled over the image: a bell of the standard deviation
      `gaussian_window // 2` around the middle of each tile, with the sum 1.
    - Bin: `floor(atan2(x, y) / pi * num_bins) mod num_bins`, which gets all of
      the pixel's weight. Horizontal edges are in bin 0, vertical ones in the
      middle.
    - Cell: the sum over its pixels, each histogram divided by its Euclidean
      length, at least 1e-12. There are no blocks of cells.

    So neither the brightness nor the contrast of a channel counts, but for
    rounding: it decides on gradients between two bins. In photos normalised in
    float32 many an `x` is 0 but for that, and their features differ from those
    of the pixels in [0, 255] by 0.001 in the mean, and by 0.3 at most.

    Reference: [Wei et al., 2021](https://arxiv.org/abs/2112.09133), as in
    SlowFast's `HOGLayerC` and mmpretrain's `HOGGenerator`, whose default
    windows are 0 and 16. Unlike them, this takes images that are not square,
    and raises where they leave pixels at the border out.

    Args:
        images: Tensor of shape `(batch_size, height, width, channels)`.
        num_bins: int. Number of orientations in half a turn. Defaults to `9`.
        cell_size: int. Side of a cell in pixels; it must divide the height and
            the width. Defaults to `8`.
        gaussian_window: int. Side, in pixels, of the windows that weigh
            pixels; it must divide the height and the width. `0` weighs all
            alike. Defaults to `16`.

    Returns:
        Float32 tensor of shape `(batch_size, height // cell_size, width //
        cell_size, channels * num_bins)`, bins fastest.
    """
    check_rank("images", images, IMAGES)
    check_hog(num_bins, cell_size, gaussian_window)
    image_shape = static_sizes(images.shape[1:])
    height, width = cell_grid(image_shape, cell_size, gaussian_window)
    channels = image_shape[-1]
    cells = (-1, height, cell_size, width, cell_size, channels)

    x, y = _gradient(ops.cast(images, "float32"))
    weight = ops.sqrt(ops.square(x) + ops.square(y))
    if gaussian_window:
        weight = weight * _tiled_window(image_shape, gaussian_window)
    # Opposite directions are one orientation: turned to [0, pi).
    opposite = (x < 0) | ((x == 0) & (y < 0))
    x, y = ops.where(opposite, -x, x), ops.where(opposite, -y, y)

    # Bin by bin: all at once take num_bins images of memory.
    histograms = []
    for x_edge, y_edge in _edges(num_bins):
        beyond = ops.where(x * y_edge >= y * x_edge, weight, 0.0)
        inside = ops.reshape(weight - beyond, cells)
        histograms.append(ops.sum(inside, axis=(2, 4)))
        weight = beyond
    histograms.append(ops.sum(ops.reshape(weight, cells), axis=(2, 4)))
    histograms = ops.stack(histograms, axis=-1)
    square = ops.sum(ops.square(histograms), axis=-1, keepdims=True)
    histograms = histograms / ops.maximum(ops.sqrt(square), EPSILON)
    return ops.reshape(histograms, (-1, height, width, channels * num_bins))


def check_hog(num_bins, cell_size, gaussian_window):
    """Raises a `ValueError` when `hog` cannot take these, whatever the image.

    Args:
        num_bins: int. Number of orientations.
        cell_size: int. Side of a cell in pixels.
        gaussian_window: int. Side of a window in pixels, or 0.
    """
    check_counts(num_bins=num_bins, cell_size=cell_size)
    check_counts(least=0, gaussian_window=gaussian_window)
    expected = "0, for none, or at least 2 (pixels)"
    right = gaussian_window != 1
    check(right, "gaussian_window", gaussian_window, expected)


def cell_grid(image_shape, cell_size, gaussian_window):
    """Returns the `(height, width)` grid of cells in an image.

    Raises a `ValueError` unless cells and windows fill the image.

    Args:
        image_shape: tuple of int. `(height, width, channels)` in pixels.
        cell_size: int. Side of a cell in pixels.
        gaussian_window: int. Side of a window in pixels, or 0.
    """
    height, width, _ = image_shape
    for size in (cell_size, gaussian_window or 1):
        if height % size or width % size:
            raise ValueError(
                "The image height and width must be divisible by `cell_size` "
                "and `gaussian_window`; 0 is no window. Received: image_shape="
                f"{tuple(image_shape)}, cell_size={cell_size}, "
                f"gaussian_window={gaussian_window}"
            )
    return height // cell_size, width // cell_size


def _gradient(images):
    # Slices, not a convolution: many accelerators round its inputs. And
    # differences first: brightness, the same in all pixels, rounds nothing.
    images = ops.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    x = images[:, :, :-2] - images[:, :, 2:]
    x = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
    y = images[:, :-2] - images[:, 2:]
    y = y[:, :, :-2] + 2 * y[:, :, 1:-1] + y[:, :, 2:]
    return x, y


def _edges(num_bins):
    # The directions (x, y) between bins. With `arctan2`, a compiler's rounding
    # would choose the bin of gradients on an edge, and every border has some:
    # there, reflection makes x or y zero. Comparing products is exact at
    # multiples of 45 degrees, where the factors are 0 and 1.
    angles = np.arange(1, num_bins) * math.pi / num_bins
    edges = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    edges /= np.abs(edges).max(axis=1, keepdims=True)
    return np.round(edges, 12).tolist()


def _tiled_window(image_shape, size):
    height, width, _ = image_shape
    offsets = np.arange(size) - (size - 1) / 2
    bell = np.exp(-0.5 * np.square(offsets / (size // 2)))
    window = np.outer(bell, bell) / np.square(bell.sum())
    tiled = np.tile(window, (height // size, width // size))
    return ops.convert_to_tensor(tiled[None, :, :, None], dtype="float32")
