"""The linear probe of all benchmarks: a logistic regression on features."""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def accuracy(train, test):
    """Returns the percentage of test features that get their class.

    Standardised features, C = 1.

    Args:
        train: pair of arrays, features `(num_images, dim)` and labels: what
            it is fitted on.
        test: likewise: what it is judged on.
    """
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=1000)
    )
    classifier.fit(*train)
    return 100 * classifier.score(*test)
