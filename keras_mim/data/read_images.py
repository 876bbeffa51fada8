import os
from collections.abc import Iterable

import numpy as np

from keras_mim._checks import check
from keras_mim._checks import check_path
from keras_mim.data._checks import check_encoded
from keras_mim.data._unreadable_files import REASONS
from keras_mim.data.image_pipeline import ImagePipeline


def read_images(paths, image_shape, crop_ratio=1.0, **kwargs):
    """Reads a few image files, as `ImagePipeline` and servers read them.

    To look at: to fill in, to predict, to measure. Needs
    `pip install "keras-mim[data]"`.

    Args:
        paths: sequence of str or path. The files.
        image_shape: tuple of ints `(height, width, channels)`, in pixels, with
            1 or 3 channels.
        crop_ratio: float in (0, 1]. What share of the short side the centered
            crop keeps. Defaults to `1.0`.
        **kwargs: Further arguments of `ImagePipeline`: `normalization`, which
            is `encoder.normalization` where there is an encoder; `dtype`;
            `interpolation`.

    Returns:
        NumPy array of shape `(num_images, *image_shape)`, float32 and
        normalized, or uint8.

    Raises:
        ValueError: If a file is missing or cannot be read as an image.

    Example:

    >>> images = keras_mim.data.read_images(
    ...     ["photo.jpg"], encoder.image_shape,
    ...     normalization=encoder.normalization,
    ... )
    >>> model.reconstruct(images)
    """
    pipeline = ImagePipeline(
        image_shape, 1, augment=False, crop_ratio=crop_ratio, **kwargs
    )
    check_encoded(pipeline.image_shape, labels=False)
    right = isinstance(paths, Iterable) and not isinstance(paths, (str, bytes))
    check(right, "paths", paths, "a sequence of strings or paths")
    images = [_read(path, pipeline.transform) for path in paths]
    if not images:
        raise ValueError("`paths` must name a file. Received: none")
    return np.stack(images)


def _read(path, transform):
    check_path(paths=path)
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise ValueError(f"`paths` must be existing files. Received: {path}")
    with open(path, "rb") as file:
        content = file.read()
    try:
        return transform.from_file(content, seed=None).numpy()
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as an image: {REASONS}"
        ) from error
