import keras
import numpy as np
from keras import ops

from keras_mim._checks import check
from keras_mim._checks import check_counts
from keras_mim._checks import check_numbers
from keras_mim._checks import is_int
from keras_mim.transfer._feature_checks import check_features


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
    check_numbers("(0, inf)", temperature=temperature)
    check_counts(chunk_size=chunk_size)
    train_features, train_labels, features = check_features(
        train_features, train_labels, features, num_classes
    )
    several = isinstance(num_neighbors, (tuple, list))
    counts = list(num_neighbors) if several else [num_neighbors]
    most = len(train_features)
    check(
        counts and all(is_int(n) and 1 <= n <= most for n in counts),
        "num_neighbors",
        num_neighbors,
        f"one or more ints from 1 to the number of training features, {most}",
    )
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
