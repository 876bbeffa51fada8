"""One normalization, from photos to the served encoder."""

import warnings

import keras
import numpy as np
import pytest

from keras_mim import MAE
from keras_mim import Normalization
from keras_mim import SimMIM
from keras_mim.callbacks import OnlineProbe
from keras_mim.callbacks import ReconstructionCallback
from keras_mim.callbacks import reconstruction_columns
from keras_mim.layers import MAEHead
from keras_mim.masking import RandomMasking
from keras_mim.ops import patchify
from keras_mim.serving import export_encoder
from keras_mim.targets import ColorBinTarget
from keras_mim.targets import PixelTarget
from keras_mim.targets import TokenTarget
from keras_mim.transfer import Classifier
from keras_mim.transfer import extract_features
from tests import tiny
from tests.serving.served import ServedTestCase

SHAPE = (16, 24, 3)
MEAN, STD = np.array([[0.1, 0.4, 0.6], [0.2, 0.3, 0.5]], "float32")
OTHER = Normalization(MEAN, STD)
BYTES = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), "uint8")
# What everything must agree with, worked out by hand.
IMAGES = (BYTES / np.float32(255) - MEAN) / STD


def encoder(**changes):
    return tiny.vit(SHAPE, normalization=OTHER, **changes)


class NormalizationTest(ServedTestCase):
    def test_photos_to_bytes_to_training_to_pictures_to_serving(self):
        pytest.importorskip("tensorflow")
        pytest.importorskip("matplotlib")
        image = pytest.importorskip("PIL.Image")
        from keras_mim.data import ImagePipeline

        folder = self.temp_dir()
        (folder / "photos").mkdir()
        for i, pixels in enumerate(BYTES):
            image.fromarray(pixels).save(folder / f"photos/{i}.png")
        options = {"augment": False, "crop_ratio": 1.0}
        for dtype, expected in (("uint8", BYTES), ("float32", IMAGES)):
            pipeline = ImagePipeline(
                SHAPE, 4, normalization=OTHER, dtype=dtype, **options
            )
            batches = pipeline.from_folder(folder / "photos")
            (batch,) = (np.asarray(x) for x in batches)
            self.assertAllClose(batch, expected, 1e-5, 1e-5)
            model = MAE(encoder(), head=MAEHead(8, 1, 2))
            model.compile("sgd")
            watch = ReconstructionCallback(batch, folder / dtype)
            model.fit(batches, verbose=0, callbacks=[watch])
            self.assertTrue((folder / dtype / "epoch_0001.png").exists())
            result = model.reconstruct(batch)
            self.assertAllClose(result["original"], IMAGES, 1e-5, 1e-5)
            columns = reconstruction_columns(result, OTHER)
            self.assertAllEqual(columns["original"], BYTES)
        export_encoder(model.encoder, folder / "served", crop_ratio=1.0)
        served = self.serve(folder / "served", {"uint8_images-4": BYTES})
        self.assertAllClose(
            served["uint8_images-4-tokens"],
            model.encoder(IMAGES, training=False),
            1e-5,
            1e-5,
        )

    def test_predict_takes_bytes(self):
        model = encoder()
        found = model.predict(BYTES, verbose=0)
        self.assertAllClose(found, model(IMAGES), 1e-5, 1e-5)

    def test_fine_tuning_and_probes_take_bytes(self):
        labels = np.array([0, 1, 0, 1])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        found = []
        for images in (BYTES, IMAGES):
            keras.utils.set_random_seed(0)
            model = Classifier(encoder(), 2, head_stddev=0.1)
            # Tracing takes longer than running.
            eager = keras.backend.backend() == "tensorflow"
            model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=eager)
            model.fit(images, labels, verbose=0)
            features, _ = extract_features(model.encoder, [(images, labels)])
            found.append(
                [
                    model.evaluate(images, labels, verbose=0),
                    model.predict(images, verbose=0),
                    features,
                ]
            )
        for one, other in zip(*found, strict=True):
            self.assertAllClose(one, other, 1e-4, 1e-4)

    def test_callbacks_take_bytes(self):
        pytest.importorskip("sklearn")
        pytest.importorskip("matplotlib")
        labels = np.array([0, 1, 0, 1])
        model = SimMIM(encoder(), RandomMasking(0.5, seed=0))
        probes = []
        for images in (BYTES, IMAGES):
            probe = OnlineProbe((images, labels), (images, labels))
            tokens = probe._features(model.encoder, images)
            probes.append(tokens)
        self.assertAllClose(*probes, 1e-4, 1e-4)
        folder = self.temp_dir()
        wrong = BYTES.astype("int32")
        for watch in (
            OnlineProbe((wrong, labels), (wrong, labels)),
            ReconstructionCallback(wrong, folder),
        ):
            watch.set_model(model)
            with self.assertRaisesRegex(ValueError, "of dtype int32"):
                watch.on_train_begin()

    def test_targets_of_bytes(self):
        patches = self.to_numpy(patchify(IMAGES, 4))
        bins = np.floor(BYTES / 255 * 8).clip(0, 7).astype("int32")
        for target, expected in (
            (PixelTarget(), patches),
            (ColorBinTarget(8), self.to_numpy(patchify(bins, 4))),
        ):
            model = SimMIM(encoder(), RandomMasking(0.5), target=target)
            for images in (BYTES, IMAGES):
                found = model(images)["target"]
                self.assertAllClose(found, expected, 1e-4, 1e-5)

    def test_tokens_of_bytes(self):
        # The token of a patch is its brightest channel, among pixels in [0, 1].
        pool = keras.layers.AveragePooling2D(4)
        tokenizer = keras.Sequential([keras.Input((None, None, 3)), pool])
        target = TokenTarget(tokenizer)
        model = SimMIM(encoder(), RandomMasking(0.5), target=target)
        means = BYTES.reshape(4, 4, 4, 6, 4, 3).mean(axis=(2, 4))
        expected = means.argmax(-1).reshape(4, 24, 1)
        second, first = np.sort(means)[..., -2:].reshape(4, 24, 2).T
        clear = (first - second > 0.01).T
        self.assertGreater(clear.mean(), 0.9)
        for images in (BYTES, IMAGES):
            found = self.to_numpy(model(images)["target"])
            self.assertAllEqual(found[clear], expected[clear])

    def test_bytes_and_floats_train_alike(self):
        losses, shared = [], encoder()
        start = shared.get_weights()
        for images in (BYTES, IMAGES):
            keras.utils.set_random_seed(0)
            shared.set_weights(start)
            model = SimMIM(shared, RandomMasking(0.5, seed=0))
            model.compile("sgd")
            losses.append(model.fit(images, verbose=0).history["loss"][0])
        self.assertAllClose(losses[0], losses[1], 1e-5, 1e-5)

    def test_a_target_of_other_statistics_is_refused(self):
        target = ColorBinTarget(8, Normalization.for_channels(3))
        with self.assertRaisesRegex(ValueError, "must be that of the encoder"):
            SimMIM(encoder(), RandomMasking(0.5), target=target)

    def test_a_wrong_range_is_noticed(self):
        pixels = (BYTES / 255).astype("float32")
        model = SimMIM(encoder(), RandomMasking(0.5))
        model.compile("sgd")
        classifier = Classifier(encoder(), 2)
        for images, looks in (
            (pixels, r"\[0, 1\]"),
            (pixels * 255, r"\[0, 255\]"),
        ):
            for use in (
                lambda: model.fit(images, verbose=0),
                lambda: model.reconstruct(images),
                lambda: classifier.predict(images, verbose=0),
            ):
                with self.assertWarnsRegex(UserWarning, looks):
                    use()
        unit = Normalization((0, 0, 0), (1, 1, 1))
        for images, normalization in (
            (IMAGES, OTHER),
            (BYTES, OTHER),
            (pixels, unit),
            (np.zeros_like(IMAGES), OTHER),
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                normalization.check_range(images)
