import os
import subprocess
import sys

import keras
import pytest

from tests.test_case import ROOT
from tests.test_case import TestCase

SCRIPT = """
import sys
for name in ("tensorflow", "tensorflow_datasets", "matplotlib"):
    sys.modules[name] = None
import keras
from tests import tiny
images = tiny.clothing(64)
encoder = tiny.vit((64, 64, 3), 16, hidden_dim=16, mlp_dim=32)
for model in (tiny.mae(encoder), tiny.simmim(encoder)):
    model.compile(keras.optimizers.AdamW(1e-2))
    history = model.fit(images, epochs=4, batch_size=16, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0], losses
    model.save(sys.argv[1])
    loaded = keras.saving.load_model(sys.argv[1])
    assert type(loaded) is type(model)
    loaded.reconstruct(images[:2])
print(keras.backend.backend(), "trained")
"""


class WithoutTensorFlowTest(TestCase):
    @pytest.mark.skipif(
        keras.backend.backend() == "tensorflow",
        reason="the TensorFlow backend needs TensorFlow",
    )
    def test_trains_saves_loads_and_reconstructs(self):
        pytest.importorskip("PIL")
        backend = keras.backend.backend()
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, self.temp_dir() / "model.keras"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "KERAS_BACKEND": backend},
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(f"{backend} trained", run.stdout)
