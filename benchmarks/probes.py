"""The linear probe of all benchmarks: a logistic regression on features."""

import numpy as np

from keras_mim.transfer import logistic_votes


def accuracy(train, test):
    """Returns the percentage of test features that get their class.

    Args:
        train: pair of arrays, features `(num_images, dim)` and labels: what
            it is fitted on.
        test: likewise: what it is judged on.
    """
    features, labels = test
    votes = logistic_votes(*train, features, int(train[1].max()) + 1)
    return 100 * np.mean(votes.argmax(axis=-1) == labels)
