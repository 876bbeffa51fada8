import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.test_case import ROOT
from tests.test_case import TestCase

# The same weights, images and masks, drawn by NumPy.
SCRIPT = """
import sys
import keras
import numpy as np
import keras_mim
from tests import reference
rng = np.random.default_rng(0)
images = rng.normal(size=(4, 16, 24, 3)).astype("float32")
masked = rng.permuted(np.tile(np.arange(24) < 18, (4, 1)), axis=1)
results = {}
head = keras_mim.layers.MAEHead(hidden_dim=32, num_layers=2, num_heads=4)
for make, cells, part in (
    (keras_mim.MAE, None, {"head": head}),
    (keras_mim.SimMIM, 4, {}),
):
    encoder = keras_mim.encoders.ViT((16, 24, 3), 4, 32, 2, 4, 64)
    masking = keras_mim.masking.RandomMasking(0.75, mask_patch_size=cells)
    model = make(encoder, masking=masking, **part)
    reference.randomise(model, scale=0.05)
    model.compile("sgd")
    inputs = {"images": images, "masked": masked}
    prediction = model.predict(inputs, verbose=0)["prediction"]
    results[make.__name__ + " prediction"] = prediction
    results[make.__name__ + " loss"] = model.evaluate(inputs, verbose=0)
    model.fit(inputs, epochs=2, verbose=0, shuffle=False)
    results[make.__name__ + " trained"] = model.evaluate(inputs, verbose=0)
np.savez(sys.argv[1], **results)
"""


@pytest.mark.tensorflow_only  # Runs the others itself: once is enough.
class BackendsAgreeTest(TestCase):
    def test_prediction_and_loss_agree(self):
        backends = [
            name
            for name in ("tensorflow", "jax", "torch")
            if importlib.util.find_spec(name) is not None
        ]
        if len(backends) < 2:
            self.skipTest("needs two backends")
        results = {}
        for backend in backends:
            path = self.temp_dir() / "results.npz"
            run = subprocess.run(
                [sys.executable, "-c", SCRIPT, path],
                capture_output=True,
                text=True,
                cwd=ROOT,
                env={**os.environ, "KERAS_BACKEND": backend},
            )
            self.assertEqual(run.returncode, 0, run.stderr)
            results[backend] = dict(np.load(path))
        first = results.pop("tensorflow")
        for other in results.values():
            for name, value in first.items():
                self.assertAllClose(other[name], value, 1e-5, 1e-5)
