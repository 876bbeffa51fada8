from collections.abc import Iterable

import keras
import numpy as np

from keras_mim._checks import check
from keras_mim._checks import check_kind
from keras_mim.encoders._pixel_model import PixelModel


def extract_features(model, batches):
    """Computes what a model makes of images, once.

    Args:
        model: `keras.Model` from images to features; for instance
            `LinearProbe(...).features`, or an encoder.
        batches: iterable of `(images, labels)`: `images` of shape
            `(batch_size, height, width, channels)` (of encoders, probes and
            classifiers: normalized, or bytes), labels an array of
            `batch_size`; for instance a `tf.data.Dataset` or a `DataLoader`.

    Returns:
        A pair of NumPy arrays: the features of all images, and the labels, in
        the order of the batches.
    """
    check_kind(keras.Model, model=model)
    right = isinstance(batches, Iterable) and not isinstance(batches, str)
    check(right, "batches", batches, "an iterable of (images, labels)")
    features, labels = [], []
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ValueError(
                "`batches` must hold pairs, (images, labels). "
                f"Received: a batch of type {type(batch).__name__}"
            )
        images, batch_labels = map(keras.ops.convert_to_numpy, batch)
        if isinstance(model, PixelModel) and not features:
            model.normalization.check_range(images)
        features.append(model.predict_on_batch(images))
        labels.append(batch_labels)
    if not features:
        raise ValueError("`batches` must hold at least one batch.")
    return np.concatenate(features), np.concatenate(labels)
