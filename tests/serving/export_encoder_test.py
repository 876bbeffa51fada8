import io
import os
from unittest import mock

import keras
import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.serving import export_encoder
from tests import tiny
from tests.serving.served import ServedTestCase
from tests.serving.served import jpeg

pytest.importorskip("tensorflow")
Image = pytest.importorskip("PIL.Image")

MEAN, STD = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], "float32")


def tiny_encoder(image_shape=(16, 24, 3), **changes):
    return tiny.vit(image_shape, patch_size=8, **changes)


class ExportEncoderTest(ServedTestCase):
    def test_tensorflow_alone_gives_a_trained_encoders_output(self):
        encoder = tiny_encoder()
        model = tiny.simmim(encoder)
        model.compile(keras.optimizers.AdamW(1e-2))
        model.fit(np.random.rand(8, 16, 24, 3).astype("float32"), verbose=0)
        path = self.temp_dir() / "encoder"
        export_encoder(encoder, path, crop_ratio=1.0)
        rng = np.random.default_rng(0)
        smooth = rng.integers(0, 255, (64, 4, 6, 3), dtype="uint8")
        files = [
            jpeg(np.array(Image.fromarray(x).resize((24, 16)))) for x in smooth
        ]
        pixels = np.stack(
            [np.array(Image.open(io.BytesIO(file))) for file in files]
        )
        inputs = {}
        for n in (1, 3, 64):
            inputs[f"uint8_images-{n}"] = pixels[:n]
            inputs[f"serving_default-{n}"] = pixels[:n].astype("float32")
            inputs[f"encoded_images-{n}"] = files[:n]
        results = self.serve(path, inputs)
        normalised = (pixels / np.float32(255) - MEAN) / STD
        tokens = self.to_numpy(encoder(normalised))
        for key in inputs:
            n = int(key.rsplit("-", 1)[1])
            # Already of the encoder's size, so a JPEG is only decoded; as
            # Pillow decodes it.
            self.assertAllClose(
                results[f"{key}-tokens"], tokens[:n], 1e-5, 1e-5
            )
            self.assertAllClose(
                results[f"{key}-embedding"], tokens[:n, 0], 1e-5, 1e-5
            )

    def test_files_of_any_size_are_cropped_as_in_validation(self):
        from keras_mim.data import ImagePipeline

        encoder = tiny_encoder()
        folder = self.temp_dir()
        export_encoder(encoder, folder / "encoder", pooling="mean")
        rng = np.random.default_rng(0)
        (folder / "images").mkdir()
        files = []
        for i, size in enumerate(((40, 30), (25, 90), (24, 16))):
            image = rng.integers(0, 255, (*size, 3), dtype="uint8")
            files.append(jpeg(image))
            (folder / "images" / f"{i}.jpg").write_bytes(files[-1])
        pipeline = ImagePipeline((16, 24, 3), batch_size=3, augment=False)
        images = np.asarray(next(iter(pipeline.from_folder(folder / "images"))))
        tokens = self.to_numpy(encoder(images))
        results = self.serve(folder / "encoder", {"encoded_images-3": files})
        self.assertAllClose(
            results["encoded_images-3-embedding"],
            tokens[:, 1:].mean(axis=1),
            1e-5,
            1e-5,
        )

    def test_other_shapes_are_refused(self):
        tf = pytest.importorskip("tensorflow")
        path = self.temp_dir() / "encoder"
        export_encoder(tiny_encoder(), path)
        signatures = tf.saved_model.load(path).signatures
        for shape in ((16, 24, 3), (1, 16, 24, 1), (1, 16, 12, 3)):
            for name, dtype in (
                ("serving_default", "float32"),
                ("uint8_images", "uint8"),
            ):
                with self.assertRaisesRegex(
                    tf.errors.InvalidArgumentError, "not compatible with"
                ):
                    signatures[name](images=tf.zeros(shape, dtype))

    def test_own_statistics_and_many_channels(self):
        mean, std = np.linspace(0.1, 0.6, 13), np.linspace(0.2, 0.3, 13)
        encoder = tiny_encoder(
            (16, 24, 13),
            use_class_token=False,
            normalization=Normalization(mean, std),
        )
        path = self.temp_dir() / "encoder"
        export_encoder(encoder, path)
        pixels = np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 13))
        pixels = pixels.astype("float32")
        results = self.serve(path, {"serving_default-2": pixels})
        tokens = encoder(((pixels / 255 - mean) / std).astype("float32"))
        self.assertAllClose(
            results["serving_default-2-tokens"], tokens, 1e-5, 1e-5
        )

    def test_failure_leaves_the_older_export(self):
        folder = self.temp_dir()
        encoder = tiny_encoder()
        (folder / "encoder").mkdir()
        (folder / "encoder" / "saved_model.pb").write_text("older")

        def fail(model, folder, writer, arguments):
            (folder / "new").mkdir()
            raise RuntimeError("disk full")

        with mock.patch("keras_mim.serving._write_model._write", fail):
            with self.assertRaisesRegex(RuntimeError, "disk full"):
                export_encoder(encoder, folder / "encoder")
        self.assertEqual(
            (folder / "encoder" / "saved_model.pb").read_text(), "older"
        )
        self.assertEqual(os.listdir(folder), ["encoder"])

    def test_older_export_is_replaced(self):
        folder = self.temp_dir()
        export_encoder(tiny_encoder(), folder / "encoder")
        before = (folder / "encoder" / "saved_model.pb").read_bytes()
        export_encoder(tiny_encoder((16, 16, 1)), folder / "encoder")
        after = (folder / "encoder" / "saved_model.pb").read_bytes()
        self.assertNotEqual(before, after)
        self.assertEqual(os.listdir(folder), ["encoder"])

    def test_wrong_arguments(self):
        folder = self.temp_dir()
        (folder / "notes.txt").write_text("mine")
        for arguments, message in (
            ({"pooling": "max"}, "pooling='max'"),
            ({"path": folder}, "something else"),
            ({"encoder": "vit"}, "encoder='vit'"),
            ({"crop_ratio": 1.5}, "crop_ratio=1.5"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                export_encoder(
                    **{
                        "encoder": tiny_encoder(),
                        "path": folder / "encoder",
                        **arguments,
                    }
                )
        with self.assertRaisesRegex(ValueError, "num_prefix_tokens=0"):
            encoder = tiny_encoder(use_class_token=False)
            export_encoder(encoder, folder / "encoder", pooling="cls")
        self.assertEqual(os.listdir(folder), ["notes.txt"])
