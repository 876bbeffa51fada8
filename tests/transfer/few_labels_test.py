import numpy as np

from keras_mim.transfer import few_labels
from tests.test_case import TestCase

LABELS = np.random.default_rng(0).permutation([0] * 100 + [2] * 50 + [5] * 7)


class FewLabelsTest(TestCase):
    def test_draws_the_share_of_every_class_and_one_at_least(self):
        for share, counts in (
            (0.01, (1, 1, 1)),
            (0.1, (10, 5, 1)),
            (0.5, (50, 25, 4)),
            (1.0, (100, 50, 7)),
        ):
            drawn = few_labels(LABELS, share)
            self.assertAllEqual(drawn, np.unique(drawn))
            names, found = np.unique(LABELS[drawn], return_counts=True)
            self.assertAllEqual(names, [0, 2, 5])
            self.assertAllEqual(found, counts)

    def test_the_seed_decides_and_small_shares_are_parts_of_large_ones(self):
        first, again = few_labels(LABELS, 0.1, 3), few_labels(LABELS, 0.1, 3)
        self.assertAllEqual(first, again)
        self.assertTrue(np.any(first != few_labels(LABELS, 0.1, 4)))
        self.assertLessEqual(set(first), set(few_labels(LABELS, 0.2, 3)))

    def test_bad_arguments(self):
        for labels, share, message in (
            (LABELS, 0, "share=0"),
            (LABELS, 1.5, "share=1.5"),
            (LABELS[:0], 0.5, r"shape \(0,\)"),
            (LABELS[None], 0.5, r"shape \(1, 157\)"),
            (LABELS - 1, 0.5, r"from 0 on. Received: -1 \(100 of 157 labels"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                few_labels(labels, share)
