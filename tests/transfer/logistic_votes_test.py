import numpy as np
import pytest

from keras_mim.transfer import logistic_votes
from tests.test_case import TestCase

pytest.importorskip("sklearn")

RNG = np.random.default_rng(0)
BANK = RNG.normal(size=(40, 3)) * [1, 100, 0.01] + [5, 0, 0]
LABELS = (BANK[:, 1] > 0) * 3  # Classes 0 and 3 of 5.
QUERIES = RNG.normal(size=(9, 3)) * [1, 100, 0.01] + [5, 0, 0]


class LogisticVotesTest(TestCase):
    def test_is_the_minimum_of_the_penalised_loss(self):
        votes = logistic_votes(BANK, LABELS, QUERIES, 5)
        self.assertEqual(votes.dtype, "float32")
        self.assertAllEqual(votes[:, [1, 2, 4]], np.zeros((9, 3)))
        self.assertAllClose(votes.sum(axis=-1), np.ones(9))
        # The definition by Newton's method: logistic loss plus half the
        # squared length of the weights, of which the intercept is none.
        mean, std = BANK.mean(axis=0), BANK.std(axis=0)
        x = np.c_[(BANK - mean) / std, np.ones(len(BANK))]
        y, weights = LABELS / 3, np.zeros(4)
        penalty = np.diag([1.0, 1.0, 1.0, 0.0])
        for _ in range(50):
            p = 1 / (1 + np.exp(-x @ weights))
            gradient = x.T @ (p - y) + penalty @ weights
            hessian = (x.T * (p * (1 - p))) @ x + penalty
            weights -= np.linalg.solve(hessian, gradient)
        x = np.c_[(QUERIES - mean) / std, np.ones(len(QUERIES))]
        expected = 1 / (1 + np.exp(-x @ weights))
        # Its solver stops at gradients of 1e-4.
        self.assertAllClose(votes[:, 3], expected, 1e-3, 1e-3)

    def test_bad_arguments(self):
        with self.assertRaisesRegex(ValueError, "from 0 to 2"):
            logistic_votes(BANK, LABELS, QUERIES, 3)
