import json

import keras
import numpy as np
import pytest

from keras_mim.targets import DalleEncoder
from tests.test_case import TestCase

IMAGES = np.random.default_rng(0).random((2, 16, 24, 3)).astype("float32")


def num_parameters(width, blocks, tokens, channels):
    """Counts the parameters of the architecture, term by term."""
    total = (7 * 7 * channels + 1) * width
    into = width
    for out in (width, 2 * width, 4 * width, 8 * width):
        for _ in range(blocks):
            inner = out // 4
            total += (9 * into + 1) * inner + 2 * (9 * inner + 1) * inner
            total += (inner + 1) * out
            if into != out:
                total += (into + 1) * out
            into = out
    return total + (into + 1) * tokens


class DalleEncoderTest(TestCase):
    def test_a_saved_encoder(self):
        encoder = DalleEncoder(8, 1, 11, trainable=False)
        logits = self.to_numpy(encoder(IMAGES))
        self.assertEqual(logits.shape, (2, 2, 3, 11))
        config = json.loads(json.dumps(encoder.get_config()))
        again = DalleEncoder.from_config(config)
        self.assertEqual(json.loads(json.dumps(again.get_config())), config)
        path = self.temp_dir() / "encoder.keras"
        encoder.save(path)
        again = keras.saving.load_model(path)
        self.assertAllClose(again(IMAGES), logits)
        self.assertFalse(again.trainable)
        # Two of each convolution: 4 in a block, 1 beside it in the three that
        # widen, the first and the last.
        self.assertEqual(len(again.weights), 2 * (4 * 4 + 3 + 2))

    def test_untrained_logits_spread(self):
        logits = self.to_numpy(DalleEncoder(8, 1, 11)(IMAGES))
        # Kernels keep the mean square; ReLU halves it, pixels lie below 1.
        self.assertGreater(logits.std(), 0.1)
        self.assertLess(logits.std(), 1)

    def test_any_size_and_any_channels(self):
        encoder = DalleEncoder(8, 1, 11, image_shape=(None, None, 2))
        self.assertEqual(encoder.output_shape, (None, None, None, 11))
        self.assertEqual(
            encoder.compute_output_shape((1, 8, 16, 2)), (1, 1, 2, 11)
        )
        for size in ((16, 24), (24, 16)):
            images = np.zeros((2, *size, 2), "float32")
            expected = (2, size[0] // 8, size[1] // 8, 11)
            self.assertEqual(tuple(encoder(images).shape), expected)
        encoder = DalleEncoder(8, 1, 11, image_shape=(112, 64, 3))
        self.assertEqual(encoder.output_shape, (None, 14, 8, 11))

    def test_number_of_parameters(self):
        for width, blocks, tokens, channels in ((8, 1, 11, 3), (8, 3, 11, 2)):
            encoder = DalleEncoder(width, blocks, tokens, (8, 8, channels))
            self.assertEqual(
                encoder.count_params(),
                num_parameters(width, blocks, tokens, channels),
            )

    @pytest.mark.torch_only  # The same on every backend; JAX compiles longest.
    def test_the_published_size(self):
        self.assertEqual(num_parameters(256, 2, 8192, 3), 53_786_240)
        encoder = DalleEncoder()
        self.assertEqual(encoder.count_params(), 53_786_240)
        self.assertEqual(
            encoder.compute_output_shape((None, 112, 112, 3)),
            (None, 14, 14, 8192),
        )

    def test_logits_stay_in_float32(self):
        encoder = DalleEncoder(8, 1, 11, dtype="mixed_bfloat16")
        logits = encoder(IMAGES)
        dtype = keras.backend.standardize_dtype(logits.dtype)
        self.assertEqual(dtype, "float32")
        self.assertEqual(
            encoder.get_layer("group_1_block_1_conv_1").compute_dtype,
            "bfloat16",
        )
        # The global policy is no reason to lose digits.
        self.addCleanup(
            keras.config.set_dtype_policy, keras.config.dtype_policy()
        )
        keras.config.set_dtype_policy("mixed_bfloat16")
        encoder = DalleEncoder(8, 1, 11)
        for layer in encoder.layers[1:]:  # The first is only the input.
            self.assertEqual(layer.compute_dtype, "float32")

    def test_wrong_arguments(self):
        for arguments, received in (
            ({"hidden_dim": 6}, "hidden_dim=6"),
            ({"hidden_dim": 0}, "hidden_dim=0"),
            ({"num_blocks": 0}, "num_blocks=0"),
            ({"image_shape": (112, 100, 3)}, r"image_shape=\(112, 100, 3\)"),
            ({"image_shape": (112, 112)}, r"image_shape=\(112, 112\)"),
        ):
            with self.assertRaisesRegex(ValueError, f"Received: {received}"):
                DalleEncoder(**arguments)
