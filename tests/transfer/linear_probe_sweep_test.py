import json

import keras
import numpy as np

from keras_mim.optimizers import LARS
from keras_mim.transfer import LinearProbe
from keras_mim.transfer import LinearProbeSweep
from tests import tiny
from tests.test_case import TestCase

RNG = np.random.default_rng(0)
LABELS = np.arange(12) % 3
FEATURES = (RNG.normal(size=(12, 8)) + LABELS[:, None]).astype("float32")
FACTORS = 0.5, 2.0, 1.0
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def fit(model, optimizer):
    model.compile(optimizer, SPARSE, metrics=["accuracy"])
    return model.fit(
        FEATURES, LABELS, batch_size=4, epochs=3, shuffle=False, verbose=0
    )


class LinearProbeSweepTest(TestCase):
    def test_each_layer_learns_what_a_probe_learns_at_its_rate(self):
        sweep = LinearProbeSweep(8, 3, FACTORS)
        probes = [LinearProbe(tiny.vit(), 3) for _ in FACTORS]
        for i, probe in enumerate(probes):
            probe.head.set_weights(sweep.head_weights(i))
        scales = sweep.learning_rate_scales
        self.assertEqual(sorted(scales), [0.5, 0.5, 1.0, 1.0, 2.0, 2.0])
        history = fit(sweep, LARS(8.0, learning_rate_scales=scales))
        accuracies = []
        for i, (factor, probe) in enumerate(zip(FACTORS, probes)):
            before = probe.head.get_weights()
            own = fit(probe.head, LARS(8.0 * factor))
            accuracies.append(own.history["accuracy"][-1])
            for ours, theirs, old in zip(
                sweep.head_weights(i), probe.head.get_weights(), before
            ):
                self.assertAllClose(ours, theirs, 1e-5, 1e-6)
                self.assertTrue(np.any(theirs != old))
        self.assertAllClose(
            history.history["accuracy"][-1], np.mean(accuracies)
        )

    def test_survives_saving(self):
        sweep = LinearProbeSweep(8, 3, FACTORS)
        json.dumps(sweep.get_config())
        path = self.temp_dir() / "sweep.keras"
        sweep.save(path)
        loaded = keras.saving.load_model(path)
        self.assertAllClose(loaded(FEATURES), sweep(FEATURES))
        self.assertEqual(sweep(FEATURES).shape, (12, 3, 3))

    def test_wrong_labels(self):
        sweep = LinearProbeSweep(8, 3, FACTORS)
        sweep.compile("sgd", SPARSE)
        for method in (sweep.fit, sweep.evaluate):
            with self.assertRaisesRegex(ValueError, r"Received: 3 \(4 of 12"):
                method(FEATURES, LABELS + 1, verbose=0)

    def test_bad_factors(self):
        for factors in ((), (1.0, 0.0)):
            with self.assertRaisesRegex(ValueError, "`factors` must be"):
                LinearProbeSweep(8, 3, factors)
