"""Gradient checkpointing of blocks changes memory, and nothing else."""

from unittest import mock

import keras
import numpy as np

import keras_mim
from keras_mim import layers
from keras_mim.encoders import ViT
from tests.test_case import TestCase

IMAGES = np.random.default_rng(0).normal(size=(4, 16, 24, 3)).astype("float32")
NUM_LAYERS = 2
BEIT = {
    "positions": "shared_relative",
    "layer_scale": 0.1,
    "use_key_bias": False,
    "initialization": "beit",
}


class RematTest(TestCase):
    def fit(self, cls, remat, jit_compile=False, **arguments):
        """Returns a model after training, its losses and calls of `remat`."""
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(0)
        encoder = ViT(
            (16, 24, 3), 4, 16, NUM_LAYERS, 2, 32, remat=remat, **arguments
        )
        model = cls(
            encoder,
            masking=keras_mim.masking.RandomMasking(0.5, seed=0),
            head=self.head(cls, remat),
        )
        # JAX compiles in any case, with "auto".
        model.compile("sgd", jit_compile=jit_compile or "auto")
        with mock.patch.object(keras, "remat", wraps=keras.remat) as spy:
            model.predict(IMAGES, verbose=0)
            self.assertEqual(spy.call_count, 0)
            history = model.fit(
                IMAGES, epochs=2, batch_size=2, shuffle=False, verbose=0
            )
        return model, history.history["loss"], spy.call_count

    def head(self, cls, remat):
        if cls is keras_mim.MAE:
            return layers.MAEHead(16, num_layers=1, num_heads=2, remat=remat)
        return layers.SimMIMHead()

    def check(self, cls, **arguments):
        plain, losses, calls = self.fit(cls, False, **arguments)
        self.assertEqual(calls, 0)
        again, remat_losses, calls = self.fit(cls, True, **arguments)
        # Both branches of every block, once or more for each trace.
        num_blocks = NUM_LAYERS + len(getattr(again.head, "blocks", []))
        self.assertGreater(calls, 0)
        self.assertEqual(calls % (2 * num_blocks), 0)
        # The same sums, compiled otherwise.
        self.assertAllClose(remat_losses, losses, 1e-5, 1e-6)
        for one, other in zip(plain.weights, again.weights):
            self.assertEqual(one.path, other.path)
            self.assertAllClose(one, other, 1e-5, 1e-6)
        return plain, again

    def test_mae_with_drop_path(self):
        plain, again = self.check(keras_mim.MAE, drop_path_rate=0.5)
        # It has drawn once for each of four steps.
        for model in (plain, again):
            drop_path = model.encoder.blocks[1].mlp_drop_path
            state = self.to_numpy(drop_path.seed_generator.state)
            self.assertEqual(int(state[1]), 4)

    def test_simmim_with_relative_positions(self):
        _, model = self.check(
            keras_mim.SimMIM,
            jit_compile=self.jit_compile(),
            drop_path_rate=0.5,
            **BEIT,
        )
        # The gradient reaches the table through the blocks' second argument.
        table = model.encoder.position_biases[0].table
        self.assertGreater(np.abs(self.to_numpy(table)).max(), 0)

    def test_mixed_precision(self):
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        _, losses, _ = self.fit(keras_mim.SimMIM, False, **BEIT)
        _, again, _ = self.fit(keras_mim.SimMIM, True, **BEIT)
        # Eight bits, and each compiler its own rounding of what it fuses.
        self.assertAllClose(again, losses, 2**-8, 0)

    def test_a_model_with_it_is_saved_and_loaded(self):
        model, _, _ = self.fit(keras_mim.SimMIM, True, **BEIT)
        path = self.temp_dir() / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
        self.assertTrue(loaded.encoder.remat)
        self.assertTrue(all(block.remat for block in loaded.encoder.blocks))
        for one, other in zip(model.weights, loaded.weights):
            self.assertAllEqual(one, other)
        loaded.fit(IMAGES, verbose=0)

    def test_a_frozen_encoder_and_the_input_keep_their_gradients(self):
        # Fine-tuning a head on top of it, as a layer of another model.
        results = []
        for remat in (False, True):
            keras.utils.clear_session(free_memory=False)
            keras.utils.set_random_seed(0)
            encoder = ViT(
                (16, 24, 3), 4, 16, NUM_LAYERS, 2, 32, remat=remat, **BEIT
            )
            encoder.trunk.trainable = False
            tokens = encoder(keras.Input((16, 24, 3)))
            model = keras.Sequential([encoder, keras.layers.Dense(2)])
            model.compile("sgd", "mse")
            model.fit(IMAGES, np.ones((4, *tokens.shape[1:-1], 2)), verbose=0)
            results.append([self.to_numpy(w) for w in model.weights])
        for one, other in zip(*results):
            self.assertAllClose(one, other, 1e-5, 1e-6)
