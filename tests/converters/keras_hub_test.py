import sys
from unittest import mock

import keras
import numpy as np
import pytest

import keras_mim
from keras_mim.converters.from_keras_hub import from_keras_hub
from keras_mim.converters.to_keras_hub import to_keras_hub
from keras_mim.encoders import ViT
from tests import reference
from tests.test_case import TestCase

keras_hub = pytest.importorskip("keras_hub")

ARGUMENTS = {
    "image_shape": (8, 12, 3),
    "patch_size": 4,
    "hidden_dim": 8,
    "num_layers": 2,
    "num_heads": 2,
    "mlp_dim": 16,
}
# Square and not; grey, colour and satellite.
VARIANTS = (
    {"image_shape": (8, 8, 3)},
    {"image_shape": (8, 12, 1)},
    {"image_shape": (12, 4, 13), "use_class_token": False},
)


def pictures(image_shape=ARGUMENTS["image_shape"]):
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, *image_shape)).astype("float32")


def make_encoder(**arguments):
    encoder = ViT(**{**ARGUMENTS, **arguments})
    reference.randomise(encoder)
    return encoder


def make_backbone(**arguments):
    backbone = keras_hub.models.ViTBackbone(**{**ARGUMENTS, **arguments})
    reference.randomise(backbone)
    return backbone


def values(model):
    return [keras.ops.convert_to_numpy(w).copy() for w in model.weights]


class KerasHubTest(TestCase):
    def assertSameOutputs(self, one, other):
        # Float32 sums in another order: 1e-6 here, 4e-6 for 12 layers.
        images = pictures(one.input_shape[1:])
        self.assertAllClose(one(images), other(images), 1e-5, 1e-5)

    def assertSameValues(self, one, other):
        self.assertEqual(len(one), len(other))
        for value, expected in zip(one, other):
            self.assertAllEqual(value, expected)

    def test_backbone_equals_the_encoder(self):
        for arguments in VARIANTS:
            encoder = make_encoder(**arguments)
            backbone = to_keras_hub(encoder)
            self.assertIsInstance(backbone, keras_hub.models.ViTBackbone)
            self.assertSameOutputs(backbone, encoder)
        encoder = make_encoder(positions="learned")
        self.assertSameOutputs(to_keras_hub(encoder), encoder)

    def test_encoder_equals_the_backbone(self):
        for arguments in VARIANTS:
            backbone = make_backbone(**arguments)
            encoder = from_keras_hub(backbone)
            self.assertIsInstance(encoder, ViT)
            self.assertSameOutputs(encoder, backbone)

    def test_encoder_comes_back_as_it_was(self):
        for positions in ("sine_cosine", "learned"):
            encoder = make_encoder(positions=positions, name="vit")
            again = from_keras_hub(to_keras_hub(encoder))
            self.assertEqual(
                again.get_config(),
                {**encoder.get_config(), "positions": "learned"},
            )
            self.assertEqual(
                [w.path for w in again.weights],
                [w.path for w in encoder.weights],
            )
            self.assertSameValues(values(again), values(encoder))

    def test_backbone_comes_back_as_it_was(self):
        backbone = make_backbone(name="backbone")
        again = to_keras_hub(from_keras_hub(backbone))
        again.name = "backbone"
        self.assertEqual(again.get_config(), backbone.get_config())
        self.assertSameValues(values(again), values(backbone))

    def test_dtype_policy_is_kept(self):
        encoder = make_encoder(dtype="mixed_bfloat16")
        backbone = to_keras_hub(encoder)
        again = from_keras_hub(backbone)
        for model in (backbone, again):
            self.assertEqual(model.dtype_policy.name, "mixed_bfloat16")
            self.assertEqual({w.dtype for w in model.weights}, {"float32"})
        outputs = [
            self.to_numpy(keras.ops.cast(model(pictures()), "float32"))
            for model in (encoder, backbone, again)
        ]
        # bfloat16 has 8 bits: sums in another order differ that much.
        self.assertAllClose(outputs[1], outputs[0], 0.1, 0.1)
        self.assertAllEqual(outputs[2], outputs[0])

    def test_classifier_trains_and_leaves_the_encoder_alone(self):
        encoder = make_encoder()
        before = values(encoder)
        backbone = to_keras_hub(encoder)
        self.assertEqual(len(backbone.non_trainable_weights), 0)
        classifier = keras_hub.models.ViTImageClassifier(
            backbone=backbone, num_classes=3
        )
        classifier.compile("sgd", jit_compile=self.jit_compile())
        history = classifier.fit(pictures(), np.arange(4) % 3, verbose=0)
        self.assertTrue(np.isfinite(history.history["loss"][0]))
        moved = from_keras_hub(classifier.backbone)
        self.assertTrue(
            any(np.any(x != y) for x, y in zip(values(moved), before))
        )
        self.assertSameValues(values(encoder), before)

    def test_preset_holds_the_encoder(self):
        encoder = make_encoder()
        folder = str(self.temp_dir())
        to_keras_hub(encoder).save_to_preset(folder)
        # The general class, which finds ViT's own by the preset.
        classifier = keras_hub.models.ImageClassifier.from_preset(
            folder, num_classes=3, preprocessor=None
        )
        self.assertSameOutputs(classifier.backbone, encoder)
        self.assertEqual(tuple(classifier(pictures()).shape), (4, 3))

    def test_preset_trains_on_and_leaves_the_backbone_alone(self):
        backbone = make_backbone()
        before = values(backbone)
        head = keras_mim.layers.MAEHead(hidden_dim=8, num_layers=1, num_heads=2)
        for make in (
            lambda x, masking: keras_mim.MAE(x, masking, head),
            lambda x, masking: keras_mim.SimMIM(x, masking),
        ):
            encoder = from_keras_hub(backbone)
            self.assertEqual(len(encoder.non_trainable_weights), 0)
            masking = keras_mim.masking.RandomMasking(0.5, seed=0)
            model = make(encoder, masking)
            model.compile("sgd", jit_compile=self.jit_compile())
            history = model.fit(pictures(), verbose=0)
            self.assertTrue(np.isfinite(history.history["loss"][0]))
            after = values(to_keras_hub(encoder))
            self.assertTrue(any(np.any(x != y) for x, y in zip(after, before)))
            self.assertSameValues(values(backbone), before)

    def test_converted_models_save_and_load(self):
        encoder = make_encoder()
        backbone = to_keras_hub(encoder)
        for model in (backbone, from_keras_hub(backbone)):
            path = self.temp_dir() / "model.keras"
            model.save(path)
            loaded = keras.saving.load_model(path)
            self.assertIsInstance(loaded, type(model))
            self.assertSameOutputs(loaded, encoder)
            if model is backbone:  # Its shapes come back as lists.
                self.assertSameOutputs(from_keras_hub(loaded), encoder)

    def test_drop_path_can_be_left_out(self):
        encoder = make_encoder(drop_path_rate=0.1)
        config = {**encoder.get_config(), "drop_path_rate": 0.0}
        plain = ViT.from_config(config)
        plain.set_weights(encoder.get_weights())
        self.assertSameOutputs(to_keras_hub(plain), encoder)

    def test_what_keras_hub_cannot_hold(self):
        for arguments, message in (
            ({"drop_path_rate": 0.1}, r"encoder.copy\(drop_path.*_rate=0.1"),
            ({"layer_scale": 1e-5}, r"layer_scale=None.*layer_scale=1e-05"),
            ({"positions": "relative"}, r"'learned'.*positions='relative'"),
            ({"use_key_bias": False}, r"use_key_bias=True.*_bias=False"),
            ({"use_final_norm": False}, r"=True.*`mae.encoder`.*pooling='cls'"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                to_keras_hub(ViT(**{**ARGUMENTS, **arguments}))

    def test_what_the_encoder_cannot_hold(self):
        for arguments, message in (
            ({"dropout_rate": 0.1}, "dropout_rate=0.0.*dropout_rate=0.1"),
            ({"attention_dropout": 0.1}, "attention_dropout=0.1"),
            ({"layer_norm_epsilon": 1e-5}, "layer_norm_epsilon=1e-05"),
            ({"use_mha_bias": False}, "use_mha_bias=False"),
            ({"use_mlp_bias": False}, "use_mlp_bias=False"),
            ({"use_patch_bias": False}, "use_patch_bias=False"),
            ({"patch_size": (4, 6)}, r"patch_size=\(4, 6\)"),
            ({"num_heads": 3}, "hidden_dim=8, num_heads=3"),
        ):
            backbone = keras_hub.models.ViTBackbone(
                **{**ARGUMENTS, **arguments}
            )
            with self.assertRaisesRegex(ValueError, message):
                from_keras_hub(backbone)

    @pytest.mark.skipif(
        keras.backend.backend() == "tensorflow",
        reason="TensorFlow has no channels-first convolution on CPUs",
    )
    def test_channels_first(self):
        backbone = keras_hub.models.ViTBackbone(
            **{**ARGUMENTS, "image_shape": (3, 8, 12)},
            data_format="channels_first",
        )
        with self.assertRaisesRegex(ValueError, "'channels_first'"):
            from_keras_hub(backbone)

    def test_other_models(self):
        encoder = ViT(**ARGUMENTS)
        with self.assertRaisesRegex(ValueError, "model.encoder.*class SimMIM"):
            to_keras_hub(
                keras_mim.SimMIM(
                    encoder, masking=keras_mim.masking.RandomMasking(0.5)
                )
            )
        with self.assertRaisesRegex(ValueError, "class ViTBackbone"):
            to_keras_hub(keras_hub.models.ViTBackbone(**ARGUMENTS))
        classifier = keras_hub.models.ViTImageClassifier(
            backbone=keras_hub.models.ViTBackbone(**ARGUMENTS), num_classes=2
        )
        with self.assertRaisesRegex(ValueError, "`classifier.backbone`"):
            from_keras_hub(classifier)
        deit = keras_hub.models.DeiTBackbone(
            image_shape=(8, 8, 3),
            patch_size=4,
            num_layers=1,
            num_heads=2,
            hidden_dim=8,
            intermediate_dim=16,
        )
        with self.assertRaisesRegex(
            ValueError, "keras_hub.models.ViTBackbone.*class DeiTBackbone"
        ):
            from_keras_hub(deit)

    @pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
    def test_quantized_models(self):
        one_block = {**ARGUMENTS, "num_layers": 1}
        for model, convert in (
            (ViT(**one_block), to_keras_hub),
            (keras_hub.models.ViTBackbone(**one_block), from_keras_hub),
        ):
            model.quantize("int8")
            message = f"this {type(model).__name__},.*_scale'.*quantizing"
            with self.assertRaisesRegex(ValueError, message):
                convert(model)

    def test_lora_of_ours_is_merged(self):
        encoder = ViT(**{**ARGUMENTS, "num_layers": 1})
        layer = encoder.blocks[0].attention.query_key_value
        layer.enable_lora(2)
        reference.randomise(encoder)
        self.assertSameOutputs(encoder, to_keras_hub(encoder))

    def test_lora_is_merged_by_saving(self):
        backbone = make_backbone()
        backbone.enable_lora(2)
        reference.randomise(backbone)  # The second factor starts at zero.
        with self.assertRaisesRegex(ValueError, "query/.*LoRA is merged"):
            from_keras_hub(backbone)
        path = self.temp_dir() / "backbone.keras"
        backbone.save(path)
        merged = keras.saving.load_model(path)
        self.assertSameOutputs(from_keras_hub(merged), backbone)

    def test_keras_hub_is_missing(self):
        for convert, model in (
            (to_keras_hub, ViT(**ARGUMENTS)),
            (from_keras_hub, keras_hub.models.ViTBackbone(**ARGUMENTS)),
        ):
            with mock.patch.dict(sys.modules, {"keras_hub": None}):
                with self.assertRaisesRegex(ImportError, r"keras-mim\[hub\]"):
                    convert(model)
