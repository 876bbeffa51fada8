import numpy as np
from keras import ops


def check_features(train_features, train_labels, features, num_classes):
    """Returns the three as NumPy arrays, or raises if they do not fit."""
    train_features, train_labels, features = map(
        ops.convert_to_numpy, (train_features, train_labels, features)
    )
    shapes = train_features.shape, features.shape
    if any(len(shape) != 2 for shape in shapes) or (
        shapes[0][1] != shapes[1][1]
    ):
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
    if np.min(train_labels) < 0 or np.max(train_labels) >= num_classes:
        raise ValueError(
            f"`train_labels` must lie between 0 and {num_classes - 1}. "
            f"Received: {np.min(train_labels)} to {np.max(train_labels)}"
        )
    return train_features, train_labels, features
