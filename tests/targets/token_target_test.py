import keras
import numpy as np
import pytest
from keras import layers

from keras_mim import Normalization
from keras_mim.ops import resize_lanczos
from keras_mim.targets import DalleEncoder
from keras_mim.targets import TokenTarget
from tests import tiny
from tests.test_case import TestCase

PIXELS = np.random.default_rng(0).random((2, 16, 24, 3)).astype("float32")
RGB = Normalization.for_channels(3)
HALVES = Normalization([0.5] * 3, [1] * 3)
IMAGES = RGB.normalize(PIXELS)
NUM_TOKENS = 16


def make_tokenizer(stride=4, channels=3, size=(None, None)):
    """Returns a tokenizer that looks at the mean colours of squares."""
    images = keras.Input((*size, channels))
    x = layers.AveragePooling2D(stride)(images)
    # Centred, or one token would win everywhere.
    x = layers.Rescaling(1, -0.5)(x)
    logits = layers.Dense(NUM_TOKENS, kernel_initializer="normal")(x)
    return keras.Model(images, logits)


def mean_color_ids(pixels, stride, tokenizer):
    """What the same tokenizer must give, in NumPy."""
    height, width = pixels.shape[1] // stride, pixels.shape[2] // stride
    cut = (-1, height, stride, width, stride, 3)
    means = pixels.reshape(cut).mean(axis=(2, 4)) - 0.5
    kernel = keras.ops.convert_to_numpy(tokenizer.layers[-1].kernel)
    return (means @ kernel).argmax(-1).reshape(len(pixels), -1, 1)


def make_simmim(target, image_shape=(16, 24, 3), patch_size=8):
    return tiny.simmim(tiny.vit(image_shape, patch_size), target=target)


class TokenTargetTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            TokenTarget,
            {"tokenizer": make_tokenizer(), "patch_size": 8},
            inputs=[IMAGES],
            expected_shape=(2, 6, 1),
            expected_dtype="int32",
            num_weights=2,
        )

    def test_ids_of_pixels_in_0_to_1(self):
        tokenizer = make_tokenizer(stride=8)
        expected = mean_color_ids(PIXELS, 8, tokenizer)
        self.assertGreater(len(np.unique(expected)), 2)
        target = TokenTarget(tokenizer, patch_size=8)
        self.assertAllEqual(target(IMAGES), expected)
        scaled = Normalization(mean=(0, 0, 0), std=(2, 1, 1))
        target = TokenTarget(tokenizer, scaled, patch_size=8)
        images = PIXELS / np.array([2, 1, 1], "float32")
        self.assertAllEqual(target(images), expected)

    def test_images_are_resized_to_one_token_per_patch(self):
        image = pytest.importorskip("PIL.Image")
        for stride in (2, 4, 16):
            tokenizer = make_tokenizer(stride)
            size = 2 * stride, 3 * stride
            pixels = np.empty((2, *size, 3), "float32")
            for i in np.ndindex(2, 3):
                channel = image.fromarray(PIXELS[i[0], ..., i[1]])
                pixels[i[0], ..., i[1]] = channel.resize(
                    size[::-1], image.Resampling.LANCZOS
                )
            expected = mean_color_ids(pixels.clip(0, 1), stride, tokenizer)
            target = TokenTarget(tokenizer, patch_size=8)
            self.assertAllEqual(target(IMAGES), expected)
            self.assertEqual(target.tokenizer_size, size)

    def test_resized_pixels_stay_in_0_to_1(self):
        # Token 0 of pixels above 1, token 2 of those below 0.
        dense = layers.Dense(3)
        tokenizer = keras.Sequential([keras.Input((None, None, 1)), dense])
        dense.set_weights([np.array([[1, 0, -1]]), np.array([-1.01, 0, -0.01])])
        images = np.zeros((1, 16, 16, 1), "float32")
        images[:, :6] = 1
        target = TokenTarget(tokenizer, Normalization([0], [1]), patch_size=2)
        self.assertAllEqual(target(images), np.ones((1, 64, 1)))
        found = self.to_numpy(tokenizer(resize_lanczos(images, (8, 8))))
        self.assertEqual(set(found.argmax(-1).ravel()), {0, 1, 2})

    def test_the_size_for_a_tokenizer(self):
        strided = [
            layers.AveragePooling2D(3, strides=2, padding="same")
            for _ in range(4)
        ]
        sequential = keras.Sequential([keras.Input((None, None, 3)), *strided])
        tiny = DalleEncoder(4, 1, 5)
        fixed = make_tokenizer(size=(56, None))
        for tokenizer, image_shape, patch_size, expected in (
            (tiny, (224, 224, 3), 16, (112, 112)),
            (tiny, (224, 224, 3), 14, (128, 128)),
            (tiny, (20, 40, 3), 20, (8, 16)),
            (tiny, (32, 64, 3), 4, (64, 128)),
            (sequential, (40, 24, 3), 8, (80, 48)),
            (make_tokenizer(7), (40, 24, 3), 8, (35, 21)),
            (fixed, (224, 160, 3), 16, (56, 40)),
        ):
            target = TokenTarget(tokenizer, patch_size=patch_size)
            target.build((None, *image_shape))
            self.assertEqual(target.tokenizer_size, expected)

    def test_the_loss_is_the_cross_entropy_of_hidden_patches(self):
        simmim = make_simmim(TokenTarget(make_tokenizer()))
        masked = np.array([[1, 1, 0, 0, 1, 0], [0, 1, 1, 0, 0, 1]], bool)
        output = simmim({"images": IMAGES, "masked": masked})
        logits = self.to_numpy(output["prediction"]).astype("float64")
        self.assertEqual(logits.shape, (2, 6, NUM_TOKENS))
        log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        ids = self.to_numpy(output["target"])
        picked = np.take_along_axis(log, ids, -1)[..., 0]
        loss = simmim.compute_loss(y_pred=output)
        self.assertAllClose(loss, -picked[masked].mean(), 1e-5, 1e-6)

    def test_the_tokenizer_is_frozen_and_saved(self):
        inputs = keras.Input((None, None, 3))
        # With a state of its own, and other values in training.
        x = layers.BatchNormalization()(make_tokenizer()(inputs))
        tokenizer = keras.Model(inputs, layers.Dropout(0.5)(x))
        simmim = make_simmim(TokenTarget(tokenizer))
        paths = [w.path for w in simmim.trainable_weights]
        for weight in tokenizer.weights:
            self.assertNotIn(weight.path, paths)
        before = [self.to_numpy(w).copy() for w in tokenizer.weights]
        ids = self.to_numpy(simmim.target(IMAGES))
        output = simmim(IMAGES, training=True)
        self.assertAllEqual(output["target"], ids)
        self.assertGreater(len(np.unique(ids)), 2)
        simmim.compile(
            keras.optimizers.AdamW(1e-2), jit_compile=self.jit_compile()
        )
        history = simmim.fit(IMAGES, epochs=20, verbose=0)
        losses = history.history["loss"]
        self.assertLess(losses[-1], losses[0])
        for weight, old in zip(tokenizer.weights, before, strict=True):
            self.assertAllEqual(weight, old)
        self.assertAllEqual(simmim.target(IMAGES), ids)

        path = self.temp_dir() / "model.keras"
        simmim.save(path)
        again = keras.saving.load_model(path)
        self.assertFalse(again.target.tokenizer.trainable)
        self.assertEqual(len(again.trainable_weights), len(paths))
        self.assertAllEqual(again.target(IMAGES), ids)
        masked = self.to_numpy(simmim.masking(IMAGES))
        self.assertAllClose(
            again.predict_patches(IMAGES, masked),
            simmim.predict_patches(IMAGES, masked),
        )

    def test_a_saved_dalle_encoder(self):
        simmim = make_simmim(TokenTarget(DalleEncoder(4, 1, 5)))
        path = self.temp_dir() / "model.keras"
        simmim.save(path)
        again = keras.saving.load_model(path)
        self.assertIsInstance(again.target.tokenizer, DalleEncoder)
        self.assertAllEqual(again.target(IMAGES), simmim.target(IMAGES))
        self.assertEqual(again.target.normalization, RGB)

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "must be a functional model"):
            TokenTarget("dall-e")
        with self.assertRaisesRegex(ValueError, r"\(None, 7\)"):
            TokenTarget(keras.Sequential([keras.Input((3,)), layers.Dense(7)]))
        with self.assertRaisesRegex(ValueError, "Received: one that takes 1"):
            make_simmim(TokenTarget(make_tokenizer(channels=1)))
        with self.assertRaisesRegex(ValueError, "must be that of the encoder"):
            make_simmim(TokenTarget(make_tokenizer(), HALVES))
        with self.assertRaisesRegex(
            ValueError, r"a grid of \(2, 3\). Received: one that makes \(4, 6\)"
        ):
            make_simmim(TokenTarget(make_tokenizer(size=(16, 24))))
        target = TokenTarget(make_tokenizer(), patch_size=8)
        target(IMAGES)
        with self.assertRaisesRegex(ValueError, "expected shape"):
            target(IMAGES[:, :8])
        with self.assertRaisesRegex(ValueError, "cannot be turned into images"):
            make_simmim(TokenTarget(make_tokenizer())).reconstruct(IMAGES)
