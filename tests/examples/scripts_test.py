import keras
import pytest

from keras_mim import MAE
from keras_mim import SimMIM
from keras_mim.encoders import Swin
from keras_mim.encoders import ViT
from tests.examples.example_test_case import ExampleTestCase
from tests.test_case import ROOT

pytest.importorskip("tensorflow")
pytest.importorskip("matplotlib")


@pytest.mark.tensorflow_only  # Slow, and the same on every backend.
class ScriptsTest(ExampleTestCase):
    """The scripts without flags that a user copies."""

    def run_script(self, name):
        """Runs a script for two steps, and returns the folder it wrote."""
        code = (ROOT / "examples" / f"{name}.py").read_text()
        self.assertLess(len(code.splitlines()), 70)
        self.assertIn(f"python examples/{name}.py", code)
        folder = self.temp_dir()
        for old, new in (
            ("EPOCHS = ", "EPOCHS = 1 or "),
            ("epochs=EPOCHS", "epochs=EPOCHS, steps_per_epoch=2"),
            (f'"runs/{name}_script"', repr(str(folder))),
        ):
            self.assertEqual(code.count(old), 1)
            code = code.replace(old, new)
        # More blocks take longer to trace than two steps.
        code = code.replace("num_layers=6", "num_layers=1")
        code = code.replace("depths=[2, 2]", "depths=[1, 1]")
        script = folder / f"{name}.py"
        # What papers exempt does not decay.
        code += (
            f"\nfor w in {name}.trainable_weights:\n"
            "    decays = optimizer._use_weight_decay(w)\n"
            "    assert decays == (len(w.shape) > 1), w.path\n"
        )
        script.write_text(code)
        code, output = self.fork("", script)
        self.assertEqual(code, 0, output)
        self.assertIsPicture(folder / "reconstructions.png")
        self.assertTrue((folder / "encoder/saved_model.pb").exists())
        encoder = keras.saving.load_model(folder / "encoder.keras")
        model = keras.saving.load_model(folder / f"{name}.keras")
        self.assertEqual(int(model.optimizer.iterations), 2)
        self.assertAllEqual(model.encoder.weights[0], encoder.weights[0])
        return model

    def test_mae(self):
        model = self.run_script("mae")
        self.assertIsInstance(model, MAE)
        self.assertIsInstance(model.encoder, ViT)

    def test_simmim(self):
        model = self.run_script("simmim")
        self.assertIsInstance(model, SimMIM)
        self.assertIsInstance(model.encoder, Swin)
