import os
import subprocess
import sys
import zipfile
from unittest import mock

import keras
import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.serving import export_litert
from keras_mim.transfer import Classifier
from tests import tiny
from tests.reference import randomise
from tests.test_case import TestCase

tf = pytest.importorskip("tensorflow")

SHAPE = (16, 16, 3)
# Runs in a process where nothing but the runtime can be imported.
RUN = """
import sys
for package in ("tensorflow", "keras", "keras_mim"):
    sys.modules[package] = None
import numpy as np
from ai_edge_litert.interpreter import Interpreter
run = Interpreter(sys.argv[1]).get_signature_runner("serving_default")
np.savez(sys.argv[3], **run(images=np.load(sys.argv[2])))
"""


def pixels(num_images, image_shape=SHAPE):
    rng = np.random.default_rng(0)
    # Of every brightness, so that they differ.
    brightness = rng.uniform(0, 255, (num_images, 1, 1, 1))
    images = rng.normal(brightness, 20, (num_images, *image_shape))
    return images.clip(0, 255).astype("float32")


def start(path):
    """Returns a function of images: a file in LiteRT's runtime."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError:
        Interpreter = tf.lite.Interpreter
    runner = Interpreter(str(path)).get_signature_runner("serving_default")
    return lambda images: runner(images=images)


class ExportLitertTest(TestCase):
    def export(self, model, *arguments, **more):
        path = self.temp_dir() / "model.tflite"
        export_litert(model, path, *arguments, **more)
        self.assertEqual(os.listdir(path.parent), [path.name])
        # The name of each operator of TensorFlow's begins with this.
        self.assertNotIn(b"Flex", path.read_bytes())
        return path

    def expected(self, encoder, images):
        normalized = encoder.normalization.normalize(images / 255)
        return self.to_numpy(encoder(normalized))

    def assert_served_alike(self, encoder):
        randomise(encoder)
        run = start(self.export(encoder))
        for number in (1, 3):
            images = pixels(number)
            outputs = run(images)
            tokens = self.expected(encoder, images)
            # Float32 sums in another order.
            self.assertAllClose(outputs["tokens"], tokens, 1e-5, 1e-5)
            mean = tokens[:, encoder.num_prefix_tokens :].mean(axis=1)
            self.assertAllClose(outputs["embedding"], mean, 1e-5, 1e-5)

    def test_classifier_tells_probabilities_and_names(self):
        statistics = Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
        encoder = tiny.vit(SHAPE, normalization=statistics)
        names = ["cap", "hat", "été"]
        model = Classifier(encoder, 3, class_names=names)
        randomise(model)
        path = self.export(model)
        images = pixels(8)
        logits = self.expected(model, images)
        expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        self.assertGreater(np.ptp(expected, axis=0).min(), 0.01)
        found = start(path)(images)["probabilities"]
        self.assertAllClose(found, expected, 1e-5, 1e-5)
        with zipfile.ZipFile(path) as archive:
            labels = archive.read("labels.txt").decode()
        self.assertEqual(labels.split("\n"), names)

    @pytest.mark.tensorflow_only  # Elsewhere it takes a process more.
    def test_runtime_alone_gives_the_class_token_of_an_adapted_vit(self):
        pytest.importorskip("ai_edge_litert")
        encoder = tiny.vit(SHAPE)
        for layer in encoder._flatten_layers():
            if isinstance(layer, keras.layers.Dense):
                layer.enable_lora(2)
        randomise(encoder)
        path = self.export(encoder, pooling="cls")
        images, answers = path.parent / "images.npy", path.parent / "out.npz"
        np.save(images, pixels(2))
        run = subprocess.run(
            [sys.executable, "-c", RUN, path, images, answers],
            capture_output=True,
            text=True,
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        tokens = self.expected(encoder, pixels(2))
        outputs = np.load(answers)
        self.assertAllClose(outputs["tokens"], tokens, 1e-5, 1e-5)
        self.assertAllClose(outputs["embedding"], tokens[:, 0], 1e-5, 1e-5)

    @pytest.mark.tensorflow_only
    def test_vit_of_other_parts(self):
        parts = {"use_key_bias": False, "layer_scale": 0.1}
        encoder = tiny.vit(SHAPE, positions="shared_relative", **parts)
        self.assert_served_alike(encoder)

    @pytest.mark.tensorflow_only
    def test_swin_of_shifted_windows_that_do_not_fit(self):
        stage = {"depths": (2,), "num_heads": (2,), "window_size": 3}
        self.assert_served_alike(tiny.swin(SHAPE, **stage))

    @pytest.mark.tensorflow_only
    def test_swin_v2(self):
        stage = {"depths": (1,), "num_heads": (2,), "window_size": 4}
        self.assert_served_alike(tiny.swin_v2(SHAPE, **stage))

    @pytest.mark.tensorflow_only
    def test_eight_bits(self):
        # LiteRT leaves kernels of less than 1024 numbers as they are.
        encoder = tiny.vit(SHAPE, hidden_dim=64, mlp_dim=256)
        randomise(encoder, scale=0.1)
        images = pixels(3)
        tokens = self.expected(encoder, images)
        full, small = self.export(encoder), self.export(encoder, "int8")
        self.assertLess(small.stat().st_size, 0.45 * full.stat().st_size)
        found = start(small)(images)["tokens"]
        self.assertEqual(found.dtype, "float32")
        error = np.abs(found - tokens).max() / np.abs(tokens).max()
        # Eight bits err by 1 / 255 of a range; a block has four such products,
        # each after the other.
        self.assertLess(error, 4 / 255)
        self.assertGreater(error, 1e-4)

    def test_wrong_arguments(self):
        folder = self.temp_dir()
        encoder = tiny.vit(SHAPE)
        quantized = tiny.vit(SHAPE)
        quantized.trunk.get_layer("block_0").mlp_in.quantize("int8")
        half = tiny.vit(SHAPE, dtype="mixed_bfloat16")
        for arguments, message in (
            ({"model": "vit"}, "model='vit'"),
            ({"model": tiny.mae()}, "model.encoder"),
            ({"model": Classifier(half, 3)}, "compute_dtype='bfloat16'"),
            ({"model": quantized}, "mlp_in` with quantization_mode='int8'"),
            ({"path": folder}, "must be a file"),
            ({"quantization": "int4"}, "quantization='int4'"),
            ({"pooling": "max"}, "pooling='max'"),
            (
                {"model": Classifier(encoder, 3), "pooling": "cls"},
                "for encoders.*pooling='cls'",
            ),
            (
                {"normalization": Normalization((0.1,) * 3, (0.2,) * 3)},
                "the encoder in the model",
            ),
        ):
            with self.assertRaisesRegex(ValueError, message):
                export_litert(
                    **{
                        "model": encoder,
                        "path": folder / "model.tflite",
                        **arguments,
                    }
                )
        with (
            mock.patch.object(encoder, "count_params", return_value=2**29),
            self.assertRaisesRegex(ValueError, "a model of 2.1 GB"),
        ):
            export_litert(encoder, folder / "model.tflite")
        self.assertEqual(os.listdir(folder), [])
