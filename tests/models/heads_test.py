"""The heads that SimMIM compares, each in its models."""

import keras
import numpy as np
import pytest

from keras_mim import layers
from keras_mim.masking import RandomMasking
from tests import tiny
from tests.test_case import TestCase

STAGES = {"depths": (1, 1), "num_heads": (2, 4), "window_size": 4}


class HeadsTest(TestCase):
    def check_learning(self, head):
        images = tiny.clothing(8)[:, ::4, 8:56:2]
        encoder = tiny.swin((16, 24, 3), hidden_dim=16, **STAGES)
        masking = RandomMasking(0.5, mask_patch_size=4, seed=0)
        model = tiny.simmim(encoder, masking=masking, head=head)
        before = [value.copy() for value in head.get_weights()]
        # What compiling for longer would save, so short a run does not.
        model.compile(keras.optimizers.AdamW(5e-3), jit_compile=False)
        history = model.fit(images, batch_size=8, epochs=20, verbose=0)
        losses = np.array(history.history["loss"])
        # Masks differ from step to step: a mean. Seen: 0.82 to 0.89.
        self.assertLess(losses[-4:].mean(), 0.93 * losses[:4].mean())
        for weight, old in zip(head.weights, before):
            self.assertTrue(np.any(self.to_numpy(weight) != old), weight.path)
        path = self.temp_dir() / "simmim.keras"
        model.save(path)
        again = keras.saving.load_model(path).head
        self.assertIs(type(again), type(head))
        self.assertEqual(again.get_config(), head.get_config())
        for weight, saved in zip(head.weights, again.weights):
            self.assertAllEqual(saved, weight)

    @pytest.mark.tensorflow_only  # Backends learn alike; JAX takes long.
    def test_light_heads_learn_and_survive_saving(self):
        self.check_learning(layers.SimMIMHead(prediction_side=2))
        self.check_learning(layers.MLPHead())

    @pytest.mark.tensorflow_only  # Likewise.
    def test_inverse_swin_learns_in_half_precision_and_survives_saving(self):
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        head = layers.InverseSwinHead(16, **STAGES)
        self.check_learning(head)
        self.assertEqual(head.prediction.compute_dtype, "bfloat16")
