import os
from unittest import mock

import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.serving import export_onnx
from tests import tiny
from tests.test_case import TestCase

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def tiny_encoder(image_shape=(16, 24, 3), **changes):
    return tiny.vit(image_shape, patch_size=8, **changes)


class ExportOnnxTest(TestCase):
    def assert_served_alike(self, encoder, pooling="mean"):
        path = self.temp_dir() / "encoder.onnx"
        export_onnx(encoder, path, pooling)
        session = onnxruntime.InferenceSession(path)
        for n in (1, 3):
            pixels = np.random.uniform(0, 255, (n, *encoder.image_shape))
            pixels = pixels.astype("float32")
            embedding, tokens = session.run(
                ["embedding", "tokens"], {"images": pixels}
            )
            expected = self.to_numpy(
                encoder(encoder.normalization.normalize(pixels / 255))
            )
            # Float32 sums in another order.
            self.assertAllClose(tokens, expected, 1e-5, 1e-5)
            expected = (
                expected[:, 0]
                if pooling == "cls"
                else expected[:, encoder.num_prefix_tokens :].mean(axis=1)
            )
            self.assertAllClose(embedding, expected, 1e-5, 1e-5)

    def test_onnx_runtime_gives_a_vits_output(self):
        self.assert_served_alike(tiny_encoder(), "cls")

    def test_own_statistics_and_other_parts(self):
        encoder = tiny_encoder(
            (16, 24, 5),
            positions="shared_relative",
            use_key_bias=False,
            normalization=Normalization(
                np.linspace(0.1, 0.6, 5), np.linspace(0.2, 0.3, 5)
            ),
        )
        self.assert_served_alike(encoder)

    @pytest.mark.tensorflow_only  # Elsewhere it takes a process more.
    def test_onnx_runtime_gives_a_swins_output(self):
        encoder = tiny.swin((16, 16, 3), depths=(2, 2), window_size=4)
        self.assert_served_alike(encoder)

    @pytest.mark.torch_only
    @pytest.mark.filterwarnings("ignore")  # Torch's, that sizes are fixed.
    def test_keras_writes_encoders_on_torch_too(self):
        for encoder in (tiny.vit(), tiny.swin(window_size=3)):
            images = tiny.images(3)
            expected = self.to_numpy(encoder(images))
            path = self.temp_dir() / "encoder.onnx"
            encoder.export(path, format="onnx", verbose=False)
            session = onnxruntime.InferenceSession(path)
            (tokens,) = session.run(None, {"images": images})
            self.assertAllClose(tokens, expected, 1e-5, 1e-5)

    def test_wrong_arguments(self):
        folder = self.temp_dir()
        for arguments, message in (
            ({"pooling": "max"}, "pooling='max'"),
            ({"path": folder}, "must be a file"),
            ({"encoder": "vit"}, "encoder='vit'"),
            ({"encoder": tiny_encoder(dtype="mixed_bfloat16")}, "bfloat16"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                export_onnx(
                    **{
                        "encoder": tiny_encoder(),
                        "path": folder / "encoder.onnx",
                        **arguments,
                    }
                )
        encoder = tiny_encoder()
        with (
            mock.patch.object(encoder, "count_params", return_value=2**29),
            self.assertRaisesRegex(ValueError, "an encoder of 2.1 GB"),
        ):
            export_onnx(encoder, folder / "encoder.onnx")
        self.assertEqual(os.listdir(folder), [])
