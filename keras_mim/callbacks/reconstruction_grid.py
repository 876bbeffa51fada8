import numpy as np

from keras_mim.callbacks.image_grid import join_columns
from keras_mim.callbacks.image_grid import save_image_grid
from keras_mim.callbacks.image_grid import to_rgb
from keras_mim.ops import mask_to_pixels

COLUMNS = ("original", "masked_image", "reconstruction", "pasted")


def reconstruction_columns(result, mean=0.0, std=1.0):
    """Returns the images of a reconstruction, to look at.

    Args:
        result: dict. What `MaskedImageModel.reconstruct` returns.
        mean: float or sequence of float, one per channel. What was subtracted
            from pixels in [0, 1] before the model saw them.
            Defaults to `0.0`.
        std: float or sequence of float. What they were divided by.
            Defaults to `1.0`.

    Returns:
        Dict of uint8 NumPy arrays of shape `(num_images, height, width, 3)`:
        "original", "masked" (grey where hidden), "reconstruction", "pasted".
        One or two channels show the first in grey, more than three the first
        three.
    """
    columns = {}
    for name in COLUMNS:
        pixels = np.asarray(result[name], "float32") * std + mean
        if name == "masked_image":
            hidden = mask_to_pixels(result["masked"], pixels.shape[1:])
            pixels = np.where(hidden, 0.5, pixels)
        columns[name.replace("_image", "")] = to_rgb(pixels)
    return columns


def reconstruction_grid(result, mean=0.0, std=1.0):
    """Lays reconstructions out as one picture, an image per row.

    Args:
        result: dict. What `MaskedImageModel.reconstruct` returns.
        mean: As in `reconstruction_columns`.
        std: As in `reconstruction_columns`.

    Returns:
        Uint8 NumPy array `(height, width, 3)`. Columns: original, masked,
        reconstruction, pasted.
    """
    return join_columns(reconstruction_columns(result, mean, std))


def save_reconstruction_grid(result, path, mean=0.0, std=1.0):
    """Writes reconstructions as a PNG with a title over each column.

    Needs matplotlib: `pip install "keras-mim[viz]"`.

    Args:
        result: dict. What `MaskedImageModel.reconstruct` returns.
        path: str or path. The PNG file to write.
        mean: As in `reconstruction_columns`.
        std: As in `reconstruction_columns`.
    """
    save_image_grid(reconstruction_columns(result, mean, std), path)
