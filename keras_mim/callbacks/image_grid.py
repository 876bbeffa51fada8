import numpy as np

from keras_mim._array_checks import check_rank
from keras_mim._checks import check
from keras_mim._checks import check_path
from keras_mim._files import whole
from keras_mim._requirements import require

GAP = 2


def to_rgb(pixels):
    """Turns pixels in [0, 1], of any number of channels, into bytes of three.

    One or two channels show the first in grey, more than three the first
    three.
    """
    if pixels.shape[-1] < 3:
        pixels = np.repeat(pixels[..., :1], 3, axis=-1)
    return (np.clip(pixels[..., :3], 0, 1) * 255).round().astype("uint8")


def join_columns(columns):
    """Joins columns of images into one picture, white between them.

    Args:
        columns: dict of uint8 arrays of shape `(num_images, height, width,
            3)`.

    Returns:
        Uint8 NumPy array `(height, width, 3)`.
    """
    white = ((0, 0), (0, GAP), (0, GAP), (0, 0))
    padded = [
        np.pad(images, white, constant_values=255)
        for images in columns.values()
    ]
    return np.concatenate(np.concatenate(padded, axis=2))[:-GAP, :-GAP]


def _check_columns(columns):
    """Raises a `ValueError` unless columns are images of one shape."""
    right = isinstance(columns, dict) and len(columns) > 0
    check(right, "columns", columns, "a dict of arrays, one or more")
    shapes = {getattr(images, "shape", None) for images in columns.values()}
    for images in columns.values():
        check_rank("columns", images, "(num_images, height, width, 3)")
    kinds = {str(images.dtype) for images in columns.values()}
    if len(shapes) > 1 or shapes.pop()[-1] != 3 or kinds != {"uint8"}:
        raise ValueError(
            "`columns` must be uint8 arrays of one shape, (num_images, height, "
            f"width, 3). Received: dtypes {sorted(kinds)}, shapes "
            f"{[images.shape for images in columns.values()]}"
        )


def save_image_grid(columns, path):
    """Writes columns of images as a PNG with a title over each.

    Needs matplotlib: `pip install "keras-mim[viz]"`.

    Args:
        columns: dict of uint8 arrays of shape `(num_images, height, width,
            3)`, by title; an image per row.
        path: str or path. The PNG file to write; its folder is made too.
    """
    _check_columns(columns)
    check_path(path=path)
    figures = require("matplotlib.figure", "viz")
    grid = join_columns(columns)
    height, width, _ = grid.shape
    # A figure of its own, outside pyplot: nothing to close, no display.
    inches, title = 2 * len(columns), 0.3
    figure = figures.Figure(
        figsize=(inches, inches * height / width + title), dpi=128
    )
    axes = figure.add_axes((0, 0, 1, 1 - title / figure.get_figheight()))
    axes.imshow(grid, interpolation="nearest", aspect="auto")
    axes.axis("off")
    for i, label in enumerate(columns):
        figure.text(
            (i + 0.5) / len(columns),
            1 - title / 2 / figure.get_figheight(),
            label,
            ha="center",
            va="center",
        )
    with whole(path) as partial:
        figure.savefig(partial)
