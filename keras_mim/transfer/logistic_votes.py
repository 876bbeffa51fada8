import numpy as np

from keras_mim._requirements import require
from keras_mim.transfer._feature_checks import check_features


def logistic_votes(train_features, train_labels, features, num_classes):
    """Classifies features by a logistic regression on others.

    The linear probe of few images: no learning rate to choose, the same answer
    every time, seconds for thousands of features. Features are standardised by
    the mean and the deviation of the training features; the penalty is
    scikit-learn's own, C = 1. Needs `pip install "keras-mim[data]"`.

    Args:
        train_features: float array of shape `(num_train, dim)`.
        train_labels: int array of shape `(num_train,)`, from 0 to
            `num_classes - 1`; two classes or more.
        features: float array of shape `(num_features, dim)`.
        num_classes: int. Number of classes.

    Returns:
        Float32 array of shape `(num_features, num_classes)`: the probability of
        each class, 0 for those that no training feature has.
    """
    linear_model = require("sklearn.linear_model")
    preprocessing = require("sklearn.preprocessing")
    train_features, train_labels, features = check_features(
        train_features, train_labels, features, num_classes
    )
    scaler = preprocessing.StandardScaler().fit(train_features)
    classifier = linear_model.LogisticRegression(max_iter=1000)
    classifier.fit(scaler.transform(train_features), train_labels)
    votes = np.zeros((len(features), num_classes), "float32")
    votes[:, classifier.classes_] = classifier.predict_proba(
        scaler.transform(features)
    )
    return votes
