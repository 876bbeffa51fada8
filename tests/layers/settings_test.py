import json

import keras
import numpy as np

from keras_mim.layers import PatchEmbedding
from keras_mim.layers import TransformerBlock
from keras_mim.layers._settings import apply_settings
from keras_mim.layers._settings import settings_of
from tests import tiny
from tests.test_case import TestCase

TOKENS = tiny.normal(2, 5, 8)


def make_block():
    block = TransformerBlock(2, 16, name="block")
    block.build((None, 5, 8))
    return block


def set_parts(block):
    """Sets some of everything that a layer can be set to."""
    block.attention.trainable = False
    block.attention.projection.quantize("int8")
    block.mlp_in.enable_lora(2, lora_alpha=3)
    block.mlp_in.lora_kernel_b.assign(tiny.normal(2, 16))
    block.mlp_in.bias.trainable = False
    block.mlp_norm.dtype_policy = "mixed_bfloat16"


EXPECTED = {
    "attention": {"trainable": False},
    "mlp_in": {"lora": [2, 3], "exceptions": ["kernel", "bias"]},
}


class SettingsTest(TestCase):
    def settings(self, layer):
        return json.loads(json.dumps(settings_of(layer)))

    def flags(self, layer):
        return [(w.name, w.trainable, w.dtype) for w in layer.weights]

    def test_they_say_what_is_other_than_in_the_layer_around(self):
        block = make_block()
        self.assertEqual(settings_of(block), {})
        set_parts(block)
        found = self.settings(block)
        for place, own in EXPECTED.items():
            self.assertEqual(found[place], own)
        policy = keras.dtype_policies.get(found["mlp_norm"]["dtype"])
        self.assertEqual(policy.name, "mixed_bfloat16")
        quantized = found["attention/projection"]
        self.assertEqual(list(quantized), ["quantization"])
        self.assertEqual(len(found), 4)
        again = make_block()
        apply_settings(again, found)
        self.assertEqual(self.flags(again), self.flags(block))
        self.assertEqual(self.settings(again), self.settings(block))
        # What is set already is not set again, which Keras refuses.
        apply_settings(again, found)
        apply_settings(again, None)
        self.assertEqual(self.settings(again), self.settings(block))

    def test_a_layer_in_keras_own_model_keeps_them(self):
        block = make_block()
        set_parts(block)
        tokens = keras.Input((5, 8))
        model = keras.Model(tokens, block(tokens))
        path = self.temp_dir() / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
        self.assertAllEqual(loaded(TOKENS), model(TOKENS))
        for again in (loaded, keras.models.clone_model(model)):
            self.assertEqual(self.flags(again), self.flags(model))
            self.assertEqual(self.settings(again), self.settings(model))

    def test_a_frozen_layer_is_frozen_to_its_bottom(self):
        images = keras.Input((8, 8, 3))
        layer = PatchEmbedding(4, 8)
        model = keras.Model(images, layer(images))
        self.assertNotIn("layer_settings", layer.get_config())
        layer.trainable = False
        clone = keras.models.clone_model(model)
        self.assertEqual(clone.trainable_weights, [])
        # And not if it is frozen alone, which Keras does in a constructor.
        layer = PatchEmbedding(4, 8, trainable=False)
        model = keras.Model(images, layer(images))
        self.assertEqual(len(model.trainable_weights), 2)
        clone = keras.models.clone_model(model)
        self.assertEqual(len(clone.trainable_weights), 2)

    def test_places_do_not_hold_the_numbers_that_keras_counts(self):
        def make():
            dense = [keras.layers.Dense(8) for _ in range(2)]
            return keras.Sequential([keras.Input((8,)), *dense])

        make()  # So that the next ones have other names.
        model = make()
        model.layers[1].trainable = False
        found = settings_of(model)
        self.assertEqual(found, {"dense:2": {"trainable": False}})
        again = make()
        apply_settings(again, found)
        flags = [w.trainable for w in again.weights]
        self.assertEqual(flags, [True, True, False, False])
        x = np.ones((1, 8), "float32")
        self.assertEqual(again(x).shape, (1, 8))
