"""The contract, for every encoder of the library and one of a user's own."""

import keras
import numpy as np
import pytest

from keras_mim import SimMIM
from keras_mim.callbacks import OnlineProbe
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2
from keras_mim.encoders import ViT
from keras_mim.masking import RandomMasking
from keras_mim.serving import export_encoder
from tests import tiny
from tests.encoders.encoder_test_case import LABELS
from tests.encoders.encoder_test_case import EncoderTestCase
from tests.own.conv_mixer import ConvMixer
from tests.serving.served import ServedTestCase

SHAPE = (16, 24, 3)


class ViTTest(EncoderTestCase):
    def make(self, **changes):
        return ViT(SHAPE, 4, 8, 2, 2, 16, **changes)


class RelativeViTTest(EncoderTestCase):
    def setUp(self):
        super().setUp()
        pytest.importorskip("scipy")

    def make(self, **changes):
        options = {"positions": "shared_relative", "layer_scale": 0.1}
        return ViT(SHAPE, 4, 8, 2, 2, 16, **{**options, **changes})


class SwinTest(EncoderTestCase):
    def setUp(self):
        super().setUp()
        pytest.importorskip("scipy")

    def make(self, **changes):
        return Swin(SHAPE, 2, 8, (2, 1), (1, 2), 4, **changes)


class SwinV2Test(EncoderTestCase):
    def make(self, **changes):
        options = {"extra_norm_every": 2, **changes}
        return SwinV2(SHAPE, 2, 8, (2, 1), (1, 2), 4, **options)


class OwnEncoderTest(EncoderTestCase, ServedTestCase):
    has_halves = False

    def make(self, **changes):
        return ConvMixer(SHAPE, patch_size=4, hidden_dim=8, **changes)

    def test_is_probed_while_it_trains(self):
        pytest.importorskip("sklearn")
        model = SimMIM(self.make(), RandomMasking(0.5, seed=0))
        model.compile("sgd")
        images = self.images(model.encoder)
        probe = OnlineProbe((images, LABELS), (images, LABELS))
        history = model.fit(images, verbose=0, callbacks=[probe])
        accuracy = history.history["probe_accuracy"][0]
        self.assertTrue(0 <= accuracy <= 1)

    def test_is_served_by_tensorflow_alone(self):
        pytest.importorskip("tensorflow")
        encoder = self.make()
        path = self.temp_dir() / "encoder"
        export_encoder(encoder, path)
        pixels = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), "uint8")
        results = self.serve(path, {"uint8_images-2": pixels})
        tokens = self.output(encoder, pixels)
        self.assertAllClose(
            results["uint8_images-2-tokens"], tokens, 1e-5, 1e-5
        )
        self.assertAllClose(
            results["uint8_images-2-embedding"], tokens.mean(1), 1e-5, 1e-5
        )

    def test_in_half_precision(self):
        encoder = self.make(dtype="mixed_bfloat16")
        output = encoder(tiny.images(2, SHAPE))
        self.assertEqual(
            keras.backend.standardize_dtype(output.dtype), "bfloat16"
        )
