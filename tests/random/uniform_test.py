from unittest import mock

import keras
import numpy as np

from keras_mim.random import ReplicaSeeds
from keras_mim.random import seed_states
from keras_mim.random import uniform
from tests import tiny
from tests.test_case import TestCase


class UniformTest(TestCase):
    def test_draws_are_those_of_keras(self):
        seeds, expected = ReplicaSeeds(3), keras.random.SeedGenerator(3)
        for shape in ((4, 5), (2,)):
            found = uniform(shape, seeds)
            self.assertEqual(
                keras.backend.standardize_dtype(found.dtype), "float32"
            )
            self.assertAllEqual(
                found, keras.random.uniform(shape, seed=expected)
            )
        self.assertAllEqual(seeds.state, expected.state)
        # As numbers that are no float32's draw.
        self.assertAllEqual(seeds.next(), expected.next())

    def test_every_replica_draws_its_own(self):
        drawn = []
        for number in range(3):
            with mock.patch(
                "keras_mim.random.replica_seeds.replica_number",
                return_value=number,
            ):
                drawn.append(self.to_numpy(uniform((8,), ReplicaSeeds(3))))
        self.assertEqual(len(np.unique(drawn)), 24)

    def test_states_of_a_model(self):
        model = tiny.mae(tiny.vit(drop_path_rate=0.5, num_layers=2))
        # The masking's two, and the second block's two branches'.
        states = seed_states(model)
        self.assertEqual(len(states), 4)
        own = model.masking.evaluation_seeds.state
        for training in (True, False):
            before = [self.to_numpy(state).copy() for state in states]
            model(tiny.images(), training=training)
            for old, new in zip(before, states, strict=True):
                moves = (new is own) != training
                self.assertAllEqual(self.to_numpy(new) - old, [0, moves])
