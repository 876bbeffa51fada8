import numpy as np
import pytest

from keras_mim.transfer import knn_votes
from tests.test_case import TestCase

RNG = np.random.default_rng(0)
BANK = RNG.normal(size=(50, 6)).astype("float32")
LABELS = RNG.integers(0, 4, size=50)
QUERIES = RNG.normal(size=(23, 6)).astype("float32")


class KNNTest(TestCase):
    def test_equals_scikit_learn(self):
        neighbors = pytest.importorskip("sklearn.neighbors")
        for k in (1, 10, 50):
            peer = neighbors.KNeighborsClassifier(
                k, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07)
            )
            expected = peer.fit(BANK, LABELS).predict_proba(QUERIES)
            # In chunks, the last of them not full, and in one.
            for size in (5, 100):
                votes = knn_votes(BANK, LABELS, QUERIES, 4, k, chunk_size=size)
                # exp(s / 0.07) makes an error of s fourteen times as large.
                self.assertAllClose(votes, expected, 1e-4, 1e-5)

    def test_several_numbers_of_neighbors_in_one_pass(self):
        found = knn_votes(BANK, LABELS, QUERIES, 4, (10, 3))
        for k, votes in zip((10, 3), found, strict=True):
            self.assertAllClose(votes, knn_votes(BANK, LABELS, QUERIES, 4, k))
            self.assertEqual(votes.shape, (23, 4))
            self.assertEqual(votes.dtype, "float32")

    def test_length_does_not_matter_and_each_finds_itself(self):
        votes = knn_votes(BANK, LABELS, 1000 * BANK, 4, 5, temperature=1e-3)
        self.assertAllEqual(votes.argmax(axis=-1), LABELS)
        self.assertTrue(np.isfinite(votes).all())

    def test_bad_arguments(self):
        for change, message in (
            ({"features": QUERIES[:, :5]}, "with one dim"),
            ({"train_labels": LABELS[:-1]}, "one class for each of the 50"),
            ({"num_classes": 3}, "from 0 to 2, of 3 classes. Received: 3 "),
            ({"train_labels": LABELS - 1}, r"Received: -1 \(\d+ of 50 labels"),
            ({"train_labels": LABELS / 2}, "whole .* Received: 0.5, 1.5"),
            ({"train_labels": LABELS.astype("str")}, "dtype <U"),
            ({"num_neighbors": 51}, "training features, 50"),
            ({"num_neighbors": 0}, "from 1 to the number of"),
        ):
            arguments = {
                "train_features": BANK,
                "train_labels": LABELS,
                "features": QUERIES,
                "num_classes": 4,
                **change,
            }
            with self.assertRaisesRegex(ValueError, message):
                knn_votes(**arguments)
