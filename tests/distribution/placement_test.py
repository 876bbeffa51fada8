import os
from unittest import mock

import keras
import numpy as np
import pytest

from keras_mim.distribution import Placement
from keras_mim.distribution import start
from tests.distribution.processes import cluster
from tests.test_case import TestCase


class Recorder(keras.callbacks.Callback):
    """Notes what it is called for, and the weights that it can see."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append("train begins")

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(epoch)
        self.weights = self.model.get_weights()

    def on_train_end(self, logs=None):
        self.calls.append("train ends")


def make_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def make_batches():
    """Returns two batches of inputs, labels and weights of samples."""
    rng = np.random.default_rng(0)
    shapes = (2, 4, 2), (2, 4, 1), (2, 4)
    return [rng.random(shape, "float32") for shape in shapes]


class PlacementTest(TestCase):
    def test_where_a_process_stands(self):
        alone = start(None)
        self.assertIs(type(alone), Placement)
        self.assertTrue(alone.is_chief)
        self.assertEqual(alone.shard, (0, 1))
        self.assertEqual(alone.batch_size(6), 6)
        self.assertEqual(alone.seed(7), 7)
        self.assertEqual(alone.steps([1, 2, 3]), 3)
        # The second of two processes, with four devices each: its pipeline
        # batches for all of its devices, or for one of them.
        for shares, batch_size, steps in ((2, 8, 12), (8, 2, 3)):
            second = Placement(1, 2, 8, shares)
            self.assertFalse(second.is_chief)
            self.assertEqual(second.shard, (1, 2))
            self.assertEqual(second.batch_size(16), batch_size)
            self.assertEqual(second.steps(range(12)), steps)
            self.assertNotEqual(second.seed(7), 7)

    def test_a_batch_that_cannot_be_shared_out(self):
        for size in (12, 0):
            error = f"number of devices, 8. Received: global_batch_size={size}"
            with self.assertRaisesRegex(ValueError, error):
                Placement(0, 2, 8).batch_size(size)

    def test_unknown_kind(self):
        with self.assertRaisesRegex(ValueError, "Received: kind='pipeline'"):
            start("pipeline")

    def test_weights_in_parts_are_for_jax(self):
        if keras.backend.backend() == "jax":
            self.skipTest("JAX can.")
        with self.assertRaisesRegex(ValueError, "needs KERAS_BACKEND=jax"):
            start("model")

    @pytest.mark.torch_only
    def test_torch_without_torchrun(self):
        with self.assertRaisesRegex(ValueError, "torchrun .* no RANK"):
            start("data")

    def test_only_the_chief_runs_what_is_for_the_chief(self):
        expected = ["train begins", 0, 1, "train ends"]
        alone, recorder = Placement(), Recorder()
        self.assertIs(alone.chief_only(recorder), recorder)
        for index, calls in enumerate((expected, [])):
            placement, recorder = Placement(index, count=2), Recorder()
            model = make_model()
            x, y, _ = make_batches()
            only = placement.chief_only(recorder)
            model.fit(x[0], y[0], epochs=2, verbose=0, callbacks=[only])
            self.assertEqual(recorder.calls, calls)
            if calls:
                self.assertAllEqual(recorder.weights[0], model.weights[0])

    def test_the_chief_backs_up_and_all_restore(self):
        folder = self.temp_dir() / "backup"
        x, y, _ = make_batches()

        def train(index, epochs):
            placement, model = Placement(index, count=2), make_model()
            backup = placement.backup(folder, delete_checkpoint=epochs == 3)
            model.fit(x[0], y[0], epochs=epochs, verbose=0, callbacks=[backup])
            return self.to_numpy(model.weights[0])

        train(1, epochs=1)
        self.assertFalse(folder.exists())
        chief = train(0, epochs=2)
        # Nothing is left to be trained: what it has is what was restored.
        self.assertAllEqual(train(1, epochs=2), chief)
        train(1, epochs=3)
        self.assertTrue(folder.exists())
        train(0, epochs=3)
        self.assertFalse(folder.exists())

    def test_a_whole_run_equals_fit(self):
        """On one device, which is what a test's own process can have."""
        tf = pytest.importorskip("tensorflow")
        backend = keras.backend.backend()
        x, y, weights = make_batches()
        own = make_model()
        first = own.get_weights()
        history = own.fit(
            np.concatenate(x),
            np.concatenate(y),
            sample_weight=np.concatenate(weights),
            batch_size=4,
            epochs=2,
            shuffle=False,
            verbose=0,
        )
        (environment,) = cluster(1) if backend == "torch" else [{}]
        batches = tf.data.Dataset.from_tensor_slices((x, y, weights))
        # Keras does not know how many there are.
        judged = batches.filter(lambda *_: True)
        recorder = Recorder()
        with mock.patch.dict(os.environ, environment):
            placement = start("data")
        if backend == "torch":
            placement.count = 2  # So that it is not Keras that trains.
        try:
            self.assertEqual(placement.batch_size(4), 4)
            with placement.scope():
                model = make_model()
                model.set_weights(first)
            found = placement.fit(
                model,
                batches,
                judged,
                epochs=2,
                callbacks=[placement.chief_only(recorder)],
            )
            model = placement.finish(model, self.temp_dir() / "model.keras")
        finally:
            keras.distribution.set_distribution(None)
        self.assertEqual(recorder.calls, ["train begins", 0, 1, "train ends"])
        self.assertAllClose(
            found.history["loss"], history.history["loss"], 1e-5, 0
        )
        self.assertAllClose(model.weights[0], own.weights[0], 1e-5, 1e-6)
        if backend == "torch":
            import torch

            self.assertFalse(torch.distributed.is_initialized())
