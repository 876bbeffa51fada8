import numpy as np

from keras_mim._checks import check
from keras_mim.callbacks.image_grid import join_columns
from keras_mim.callbacks.image_grid import save_image_grid
from keras_mim.callbacks.image_grid import to_rgb
from keras_mim.normalization import Normalization
from keras_mim.ops import mask_to_pixels

COLUMNS = ("original", "masked_image", "reconstruction", "pasted")


def reconstruction_columns(result, normalization=None):
    """Returns the images of a reconstruction, to look at.

    Args:
        result: dict. What `MaskedImageModel.reconstruct` returns.
        normalization: `keras_mim.Normalization` or `None`. That of the model's
            encoder, `model.encoder.normalization`; `None` is
            `Normalization.for_channels`. Defaults to `None`.

    Returns:
        Dict of uint8 NumPy arrays of shape `(num_images, height, width, 3)`:
        "original", "masked" (grey where hidden), "reconstruction", "pasted".
        One or two channels show the first in grey, more than three the first
        three.
    """
    right = isinstance(result, dict) and {*COLUMNS, "masked"} <= {*result}
    expected = "what `MaskedImageModel.reconstruct` returns"
    check(right, "result", result, expected)
    channels = result["original"].shape[-1]
    normalization = Normalization.resolve(normalization, channels)
    columns = {}
    for name in COLUMNS:
        images = np.asarray(result[name], "float32")
        pixels = normalization.denormalize(images)
        if name == "masked_image":
            hidden = mask_to_pixels(result["masked"], pixels.shape[1:])
            pixels = np.where(hidden, 0.5, pixels)
        columns[name.replace("_image", "")] = to_rgb(pixels)
    return columns


def reconstruction_grid(result, normalization=None):
    """Lays reconstructions out as one picture, an image per row.

    Args:
        result: dict. What `MaskedImageModel.reconstruct` returns.
        normalization: As in `reconstruction_columns`.

    Returns:
        Uint8 NumPy array `(height, width, 3)`. Columns: original, masked,
        reconstruction, pasted.
    """
    return join_columns(reconstruction_columns(result, normalization))


def save_reconstruction_grid(result, path, normalization=None):
    """Writes reconstructions as a PNG with a title over each column.

    Needs matplotlib: `pip install "keras-mim[viz]"`.

    Args:
        result: dict. What `MaskedImageModel.reconstruct` returns.
        path: str or path. The PNG file to write.
        normalization: As in `reconstruction_columns`.
    """
    save_image_grid(reconstruction_columns(result, normalization), path)
