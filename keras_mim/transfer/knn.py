import keras
import numpy as np
from keras import ops


def knn_votes(
    train_features,
    train_labels,
    features,
    num_classes,
    num_neighbors=20,
    temperature=0.07,
    chunk_size=256,
):
    """Classifies features by those nearest to them.

    The `num_neighbors` training features of greatest cosine similarity `s` vote
    for their classes, each with a weight of `exp(s / temperature)`.

    Reference: [Wu et al., 2018](https://arxiv.org/abs/1805.01978), section 3.4.

    Args:
        train_features: float array of shape `(num_train, dim)`.
        train_labels: int array of shape `(num_train,)`, from 0 to
            `num_classes - 1`.
        features: float array of shape `(num_features, dim)`.
        num_classes: int. Number of classes.
        num_neighbors: int, or a sequence of them, of which the votes are
            counted in one pass. Defaults to `20`.
        temperature: float. Defaults to `0.07`.
        chunk_size: int. So many features are compared at a time; on the device
            they take `4 * chunk_size * num_train` bytes. Defaults to `256`.

    Returns:
        Float32 array of shape `(num_features, num_classes)`: the share of the
        votes that each class got. For several `num_neighbors`, a list of those.
    """
    train_features, features = map(
        ops.convert_to_numpy, (train_features, features)
    )
    train_labels = ops.convert_to_numpy(train_labels)
    several = not isinstance(num_neighbors, int)
    counts = list(num_neighbors) if several else [num_neighbors]
    _check(train_features, train_labels, features, num_classes, counts)
    bank = ops.transpose(ops.convert_to_tensor(_normalised(train_features)))
    labels = ops.one_hot(train_labels, num_classes, dtype="float32")
    most = max(counts)
    found = [[] for _ in counts]
    for start in range(0, len(features), chunk_size):
        chunk = features[start : start + chunk_size]
        # Chunks of one size: other shapes would be compiled anew.
        padding = chunk_size - len(chunk)
        chunk = np.pad(chunk, ((0, padding), (0, 0)))
        similarity = ops.matmul(_normalised(chunk), bank)
        nearest, indices = ops.top_k(similarity, most)
        # Relative to the nearest, which cannot overflow.
        weights = ops.exp((nearest - nearest[:, :1]) / temperature)
        votes = weights[..., None] * ops.take(labels, indices, axis=0)
        for count, shares in zip(counts, found):
            total = ops.sum(votes[:, :count], axis=1)
            total = total / ops.sum(total, axis=1, keepdims=True)
            shares.append(ops.convert_to_numpy(total)[: len(chunk) - padding])
    found = [np.concatenate(shares) for shares in found]
    return found if several else found[0]


def _normalised(features):
    return keras.utils.normalize(features.astype("float32"), axis=-1)


def _check(train_features, train_labels, features, num_classes, counts):
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
    if train_labels.min() < 0 or train_labels.max() >= num_classes:
        raise ValueError(
            f"`train_labels` must lie between 0 and {num_classes - 1}. "
            f"Received: {train_labels.min()} to {train_labels.max()}"
        )
    if min(counts) < 1 or max(counts) > len(train_features):
        raise ValueError(
            "`num_neighbors` must lie between 1 and the number of training "
            f"features, {len(train_features)}. Received: {counts}"
        )
