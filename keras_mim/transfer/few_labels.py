import numpy as np
from keras import ops

from keras_mim._array_checks import check_labels
from keras_mim._checks import check_counts
from keras_mim._checks import check_numbers


def few_labels(labels, share, seed=0):
    """Draws the images whose labels a low-shot run may see.

    The same share of every class, and at least one image of each: what the
    low-shot numbers of papers, 1 % and 10 % of ImageNet, are for. Of the same
    seed, a smaller share is a part of a larger one.

    Args:
        labels: int array of shape `(num_images,)`, from 0 on.
        share: float in (0, 1]. How much of each class is drawn.
        seed: int. Defaults to `0`.

    Returns:
        Int64 array of positions in `labels`, in ascending order.
    """
    check_numbers("(0, 1]", share=share)
    check_counts(least=0, seed=seed)
    labels = ops.convert_to_numpy(labels)
    if labels.ndim != 1 or not len(labels):
        raise ValueError(
            "`labels` must hold one class per image. "
            f"Received: an array of shape {labels.shape}"
        )
    check_labels(labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    drawn = []
    for name in np.unique(labels):
        of_class = order[labels[order] == name]
        drawn.append(of_class[: max(round(share * len(of_class)), 1)])
    return np.sort(np.concatenate(drawn))
