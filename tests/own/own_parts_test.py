import re

import keras
import numpy as np

import keras_mim
from keras_mim.ops import patchify
from tests import tiny
from tests.own.conv_mixer import ConvMixer
from tests.own.luminance_target import LuminanceTarget
from tests.own.norm_head import NormHead
from tests.own.stripe_masking import StripeMasking
from tests.test_case import ROOT
from tests.test_case import TestCase

PARTS = ("conv_mixer", "stripe_masking", "luminance_target", "norm_head")


class OwnPartsTest(TestCase):
    def test_contributing_shows_them_as_they_are(self):
        text = (ROOT / "CONTRIBUTING.md").read_text()
        shown = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        self.assertEqual(len(shown), len(PARTS) + 1)
        for name, code in zip(PARTS, shown):
            path = ROOT / f"tests/own/{name}.py"
            self.assertEqual(code, path.read_text(), name)

    def test_what_contributing_does_with_them_runs(self):
        text = (ROOT / "CONTRIBUTING.md").read_text()
        *_, code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        names = {"images": tiny.images(2, (64, 64, 3)), **globals()}
        exec(code, names)
        model = names["model"]
        self.assertEqual(int(model.optimizer.iterations), 1)
        self.assertIsInstance(model.encoder, ConvMixer)

    def test_each_does_what_it_says(self):
        encoder = ConvMixer((16, 24, 3), patch_size=4)
        target = LuminanceTarget()
        model = keras_mim.SimMIM(encoder, StripeMasking(), NormHead(), target)
        images = tiny.images(2, (16, 24, 3))
        output = model(images)
        rows = self.to_numpy(output["masked"]).reshape(2, 4, 6)
        expected = np.zeros((2, 4, 6), bool)
        expected[:, 1::2] = True
        self.assertAllEqual(rows, expected)
        pixels = self.to_numpy(encoder.normalization.denormalize(images))
        grey = patchify(pixels.mean(axis=-1, keepdims=True), 4)
        self.assertAllClose(output["target"], grey, 1e-5, 1e-5)
        self.assertEqual(output["prediction"].shape, (2, 24, 16))

    def test_a_model_of_them_is_saved(self):
        encoder = ConvMixer((16, 24, 3), patch_size=4)
        model = keras_mim.SimMIM(
            encoder, StripeMasking(), NormHead(), LuminanceTarget()
        )
        path = self.temp_dir() / "model.keras"
        model.save(path)
        again = keras.saving.load_model(path)
        images = tiny.images(2, (16, 24, 3))
        masked = np.zeros(24, bool)
        masked[:5] = True
        self.assertAllClose(
            again.predict_patches(images, masked),
            model.predict_patches(images, masked),
        )
