import keras
import numpy as np
import pytest

import keras_mim
from keras_mim.converters.from_keras_hub import from_keras_hub
from keras_mim.converters.to_keras_hub import to_keras_hub
from keras_mim.encoders import Swin
from tests import reference
from tests.test_case import TestCase

keras_hub = pytest.importorskip("keras_hub")

# Maps of 4 x 6, with shifted windows, and 2 x 3, whose windows are padded.
SIZES = {
    "image_shape": (16, 24, 3),
    "patch_size": 4,
    "depths": (2, 2),
    "num_heads": (1, 2),
    "window_size": 2,
    "mlp_ratio": 2.5,
}
ARGUMENTS = {**SIZES, "hidden_dim": 8}
HUB_ARGUMENTS = {**SIZES, "embed_dim": 8}
ONE_BLOCK = {"depths": (1,), "num_heads": (1,)}
# Square and not; grey, colour and satellite. The second has padding in both
# stages, without shifts.
VARIANTS = (
    {},
    {"image_shape": (32, 32, 1), "depths": (1, 1), "window_size": 3},
    {"image_shape": (12, 24, 13), "patch_size": 2, "window_size": 3},
)
DIFFERENT = (
    (
        {"image_shape": (16, 16, 3), "window_size": 4},
        "windows larger.*window_size=4, whose stage 1 .* 2x2 tokens",
    ),
    (
        {"image_shape": (20, 24, 3)},
        r"odd sides.*image_shape=\(20, 24, 3\), patch_size=4.*0 .* 5x6 tokens",
    ),
    (
        {"image_shape": (32, 32, 3), "window_size": 3},
        r"pads after shifting.*window_size=3, whose stage 0 .* 8x8 tokens",
    ),
)


def pictures(image_shape=ARGUMENTS["image_shape"]):
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, *image_shape)).astype("float32")


def make_encoder(**arguments):
    encoder = Swin(**{**ARGUMENTS, **arguments})
    reference.randomise(encoder)
    return encoder


def make_backbone(**arguments):
    backbone = keras_hub.models.SwinTransformerBackbone(
        **{**HUB_ARGUMENTS, **arguments}
    )
    reference.randomise(backbone)
    return backbone


def values(model):
    return [keras.ops.convert_to_numpy(w).copy() for w in model.weights]


def run(model, images):
    # Compiled: op by op, JAX takes ten times as long.
    return np.asarray(model.predict(images, verbose=0)).astype("float32")


# KerasHub warns where it cannot compute, and makes the model all the same.
@pytest.mark.filterwarnings("ignore:Layer '.*' looks like it has unbuilt")
@pytest.mark.filterwarnings("ignore:`build.*` was called on layer")
class KerasHubSwinTest(TestCase):
    def assertSameOutputs(self, one, other):
        # Float32 sums in another order: 5e-7 here.
        images = pictures(one.input_shape[1:])
        self.assertAllClose(run(one, images), run(other, images), 1e-5, 1e-5)

    def assertSameValues(self, one, other):
        self.assertEqual(len(one), len(other))
        for value, expected in zip(one, other):
            self.assertAllEqual(value, expected)

    def test_backbone_equals_the_encoder(self):
        for arguments in VARIANTS:
            encoder = make_encoder(**arguments)
            backbone = to_keras_hub(encoder)
            self.assertIsInstance(
                backbone, keras_hub.models.SwinTransformerBackbone
            )
            self.assertSameOutputs(backbone, encoder)

    def test_encoder_equals_the_backbone(self):
        for arguments in VARIANTS:
            backbone = make_backbone(**arguments)
            encoder = from_keras_hub(backbone)
            self.assertIsInstance(encoder, Swin)
            self.assertSameOutputs(encoder, backbone)

    def test_encoder_comes_back_as_it_was(self):
        for arguments in ({"drop_path_rate": 0.2}, VARIANTS[2]):
            encoder = make_encoder(**arguments)
            again = from_keras_hub(to_keras_hub(encoder))
            self.assertEqual(again.get_config(), encoder.get_config())
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

    def test_drop_path_is_kept(self):
        encoder = make_encoder(drop_path_rate=0.3)
        backbone = to_keras_hub(encoder)
        rates = [block.drop_path_rate for block in encoder.blocks]
        self.assertAllClose(rates, [0, 0.1, 0.2, 0.3])
        first, *others = (b for stage in backbone.stages for b in stage.blocks)
        self.assertIsInstance(first.drop_path, keras.layers.Identity)
        hub_rates = [block.drop_path.drop_prob for block in others]
        self.assertAllClose(hub_rates, rates[1:])
        self.assertSameOutputs(backbone, encoder)

    def test_dtype_policy_is_kept(self):
        encoder = make_encoder(dtype="mixed_bfloat16")
        backbone = to_keras_hub(encoder)
        again = from_keras_hub(backbone)
        for model in (backbone, again):
            self.assertEqual(model.dtype_policy.name, "mixed_bfloat16")
            self.assertEqual({w.dtype for w in model.weights}, {"float32"})
        outputs = [run(m, pictures()) for m in (encoder, backbone, again)]
        # bfloat16 has 8 bits: sums in another order differ that much.
        self.assertAllClose(outputs[1], outputs[0], 0.1, 0.1)
        self.assertAllEqual(outputs[2], outputs[0])

    def test_classifier_trains_and_leaves_the_encoder_alone(self):
        encoder = make_encoder()
        before = values(encoder)
        backbone = to_keras_hub(encoder)
        self.assertEqual(len(backbone.non_trainable_weights), 0)
        classifier = keras_hub.models.SwinTransformerImageClassifier(
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

    def test_simmim_trains_on_and_leaves_the_backbone_alone(self):
        backbone = make_backbone(image_shape=(64, 64, 3))
        before = values(backbone)
        encoder = from_keras_hub(backbone)
        self.assertEqual(len(encoder.non_trainable_weights), 0)
        simmim = keras_mim.SimMIM(encoder)
        simmim.compile("sgd", jit_compile=self.jit_compile())
        history = simmim.fit(pictures((64, 64, 3)), verbose=0)
        self.assertTrue(np.isfinite(history.history["loss"][0]))
        after = values(to_keras_hub(encoder))
        self.assertTrue(any(np.any(x != y) for x, y in zip(after, before)))
        self.assertSameValues(values(backbone), before)

    def test_preset_holds_the_encoder(self):
        encoder = make_encoder()
        folder = str(self.temp_dir())
        to_keras_hub(encoder).save_to_preset(folder)
        # The general class, which finds Swin's own by the preset.
        classifier = keras_hub.models.ImageClassifier.from_preset(
            folder, num_classes=3, preprocessor=None
        )
        self.assertSameOutputs(classifier.backbone, encoder)
        self.assertEqual(run(classifier, pictures()).shape, (4, 3))

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
                again = from_keras_hub(loaded)
                self.assertEqual(again.get_config(), encoder.get_config())
                self.assertSameValues(values(again), values(encoder))

    def test_maps_that_windows_or_merging_do_not_divide(self):
        for arguments, message in DIFFERENT:
            with self.assertRaisesRegex(ValueError, message):
                to_keras_hub(Swin(**{**ARGUMENTS, **arguments}))
            backbone = keras_hub.models.SwinTransformerBackbone(
                **{**HUB_ARGUMENTS, **arguments}
            )
            with self.assertRaisesRegex(ValueError, message):
                from_keras_hub(backbone)

    def test_what_the_encoder_cannot_hold(self):
        for arguments, message in (
            ({"dropout_rate": 0.1}, "Swin .*te=0.0.*dropout_rate=0.1"),
            ({"attention_dropout": 0.1}, "attention_dropout=0.1"),
            ({"qkv_bias": False}, "qkv_bias=True.*qkv_bias=False"),
            ({"patch_norm": False}, "patch_norm=True.*patch_norm=False"),
            ({"data_format": "channels_first"}, "format='channels_first'"),
            ({"image_shape": (18, 24, 3)}, r"\(18, 24, 3\), patch_size=4"),
            ({"num_heads": (3,)}, "hidden_dim=8, num_heads=3"),
            ({"num_heads": (1, 2)}, r"depths=\(1,\), num_heads=\(1, 2\)"),
        ):
            backbone = keras_hub.models.SwinTransformerBackbone(
                **{**HUB_ARGUMENTS, **ONE_BLOCK, **arguments}
            )
            with self.assertRaisesRegex(ValueError, message):
                from_keras_hub(backbone)

    def test_other_models(self):
        with self.assertRaisesRegex(
            ValueError, "or Swin; .*class SwinTransformerBackbone"
        ):
            to_keras_hub(make_backbone(**ONE_BLOCK))
        classifier = keras_hub.models.SwinTransformerImageClassifier(
            backbone=make_backbone(**ONE_BLOCK), num_classes=2
        )
        with self.assertRaisesRegex(ValueError, "`classifier.backbone`"):
            from_keras_hub(classifier)

    @pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
    def test_quantized_models(self):
        for model, convert in (
            (make_encoder(**ONE_BLOCK), to_keras_hub),
            (make_backbone(**ONE_BLOCK), from_keras_hub),
        ):
            model.quantize("int8")
            message = f"this {type(model).__name__},.*_scale'.*quantizing"
            with self.assertRaisesRegex(ValueError, message):
                convert(model)
