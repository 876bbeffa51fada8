import numpy as np

from keras_mim.ops import mask_to_pixels
from keras_mim.ops import require

COLUMNS = ("original", "masked_image", "reconstruction", "pasted")


def reconstruction_grid(result, mean=0.0, std=1.0):
    """Lays reconstructions out as one picture, an image per row.

    Args:
        result: dict. What `MaskedImageModel.reconstruct` returns.
        mean: float or sequence of float, one per channel. What was subtracted
            from pixels in [0, 1] before the model saw them.
            Defaults to `0.0`.
        std: float or sequence of float. What they were divided by.
            Defaults to `1.0`.

    Returns:
        Uint8 NumPy array `(height, width, 3)`. Columns: original, masked,
        reconstruction, pasted. One or two channels show the first in grey,
        more than three the first three.
    """
    gap = 2
    columns = []
    for name in COLUMNS:
        pixels = np.asarray(result[name], "float32") * std + mean
        if name == "masked_image":
            hidden = mask_to_pixels(result["masked"], pixels.shape[1:])
            pixels = np.where(hidden, 0.5, pixels)
        if pixels.shape[-1] < 3:
            pixels = np.repeat(pixels[..., :1], 3, axis=-1)
        pixels = (np.clip(pixels[..., :3], 0, 1) * 255).round().astype("uint8")
        white = ((0, 0), (0, gap), (0, gap), (0, 0))
        columns.append(np.pad(pixels, white, constant_values=255))
    return np.concatenate(np.concatenate(columns, axis=2))[:-gap, :-gap]


def save_reconstruction_grid(result, path, mean=0.0, std=1.0):
    """Writes reconstructions as a PNG with a title over each column.

    Needs matplotlib: `pip install "keras-mim[viz]"`.

    Args:
        result: dict. What `MaskedImageModel.reconstruct` returns.
        path: str or path. The PNG file to write.
        mean: As in `reconstruction_grid`.
        std: As in `reconstruction_grid`.
    """
    figures = require("matplotlib.figure", "viz")
    grid = reconstruction_grid(result, mean, std)
    height, width, _ = grid.shape
    # A figure of its own, outside pyplot: nothing to close, no display.
    inches, title = 8, 0.3
    figure = figures.Figure(
        figsize=(inches, inches * height / width + title), dpi=128
    )
    axes = figure.add_axes((0, 0, 1, 1 - title / figure.get_figheight()))
    axes.imshow(grid, interpolation="nearest", aspect="auto")
    axes.axis("off")
    for i, name in enumerate(COLUMNS):
        label = name.replace("_image", "")
        figure.text(
            (i + 0.5) / 4,
            1 - title / 2 / figure.get_figheight(),
            label,
            ha="center",
            va="center",
        )
    figure.savefig(path)
