import keras
import numpy as np
import pytest

from keras_mim.masking import RandomMasking
from keras_mim.random import ReplicaSeeds
from keras_mim.random import replica_number
from tests.distribution.processes import cluster
from tests.distribution.processes import results_of
from tests.test_case import ROOT
from tests.test_case import TestCase

DRAWS = ROOT / "tests/distribution/draws.py"


class ReplicasTest(TestCase):
    def test_alone_it_is_kerass_generator(self):
        self.assertEqual(replica_number(), 0)
        own, kerass = ReplicaSeeds(3), keras.random.SeedGenerator(3)
        for _ in range(2):
            self.assertAllEqual(own.next(), kerass.next())
        self.assertEqual(own.get_config()["seed"], 3)

    def assertReplicasDiffer(self, first, second):
        """Checks the draws of two steps of two replicas."""
        # Masks and dropped paths of both, and over the steps.
        for drawn in zip(*first, *second, strict=True):
            self.assertEqual(len({tuple(x) for x in drawn}), 4)
        # No replica repeats, later, what the other had.
        masks = [tuple(x) for r in (first, second) for y in r for x in y[:2]]
        self.assertEqual(len(set(masks)), 8)
        for mask in masks:
            self.assertEqual(sum(mask), 32)

    @pytest.mark.tensorflow_only
    def test_masks_differ_between_tensorflows_replicas(self):
        (results,) = results_of([DRAWS])
        self.assertEqual(results_of([DRAWS]), [results])
        *draws, (alone,) = results
        # Two steps, and in each two replicas.
        self.assertReplicasDiffer(draws[::2], draws[1::2])
        self.assertEqual(draws[0][0], alone)

    @pytest.mark.torch_only
    def test_masks_differ_between_torchs_processes(self):
        results = results_of([DRAWS], cluster())
        self.assertEqual(results_of([DRAWS], cluster()), results)
        (*first, (alone,)), (*second, (too,)) = results
        self.assertReplicasDiffer(first, second)
        self.assertEqual(first[0][0], alone)
        self.assertEqual(too, alone)

    def test_masks_are_drawn_from_it(self):
        masking = RandomMasking(0.5, patch_size=8, seed=0)
        self.assertIsInstance(masking.seed_generator, ReplicaSeeds)
        masks = masking(np.zeros((2, 32, 32, 3)))
        self.assertEqual(masks.shape, (2, 16))
