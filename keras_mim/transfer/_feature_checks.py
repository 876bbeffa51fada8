import numpy as np
from keras import ops

from keras_mim._array_checks import check_labels
from keras_mim._array_checks import float_array
from keras_mim._checks import check_counts


def check_features(train_features, train_labels, features, num_classes):
    """Returns the three as NumPy arrays, or raises if they do not fit."""
    check_counts(num_classes=num_classes)
    axes = "(number, dim)"
    train_features = float_array(
        "train_features", to_numpy(train_features), axes
    )
    features = float_array("features", to_numpy(features), axes)
    train_labels = np.asarray(to_numpy(train_labels))
    shapes = train_features.shape, features.shape
    if shapes[0][1] != shapes[1][1] or 0 in shapes[0] + shapes[1]:
        raise ValueError(
            "`train_features` and `features` must be of shape (number, dim) "
            f"with one dim. Received: {shapes[0]} and {shapes[1]}"
        )
    if train_labels.shape != (len(train_features),):
        raise ValueError(
            "`train_labels` must hold one class for each of the "
            f"{len(train_features)} training features. "
            f"Received: an array of shape {train_labels.shape}"
        )
    check_labels(train_labels, num_classes, "train_labels")
    return train_features, train_labels.astype("int64"), features


def to_numpy(x):
    """Returns a tensor as a NumPy array, and anything else as it is."""
    return ops.convert_to_numpy(x) if ops.is_tensor(x) else x


def check_fitted_labels(labels, num_classes):
    """Raises a `ValueError` for wrong numbers of classes to fit or judge by.

    Args:
        labels: What `fit` or `evaluate` is given. Arrays of one class an image
            are looked at; anything else passes: probabilities, and what is
            drawn as it is read.
        num_classes: int. Number of logits. A single one has no classes.
    """
    shape = getattr(labels, "shape", None)
    if num_classes == 1 or shape is None:
        return
    if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
        labels = ops.convert_to_numpy(labels)
        check_labels(np.asarray(labels), num_classes)
