"""The linear probe of all benchmarks: a logistic regression on features."""

import numpy as np

from keras_mim.transfer import logistic_votes


def accuracy(train, test):
    """Fits the probe and judges it.

    Args:
        train: pair of arrays. Features `(num_images, dim)` and labels to fit
            the probe on.
        test: pair of arrays. Features and labels to judge it on.

    Returns:
        float. Percentage of test features that get their class.
    """
    features, labels = test
    votes = logistic_votes(*train, features, int(train[1].max()) + 1)
    return 100 * np.mean(votes.argmax(axis=-1) == labels)
