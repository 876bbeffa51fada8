import json

import keras
import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.encoders import ViT
from tests.examples.example_test_case import ExampleTestCase

pytest.importorskip("tensorflow")
pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")


class LinearProbeTest(ExampleTestCase):
    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_linear_probe(self):
        folder = self.temp_dir()
        normalization = Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
        encoder = ViT((32, 32, 3), 8, 16, 1, 2, 32, normalization=normalization)
        encoder.save(folder / "encoder.keras")
        output = self.example(
            "linear_probe.py",
            f"--data={self.two_classes(folder)}",
            f"--encoder={folder}/encoder.keras",
            "--pooling=mean",
            "--epochs=2",
            "--warmup_epochs=1",
            "--learning_rates=0.1,10",
            "--neighbors=2,20",
            "--shares=0.5",
            f"--output_dir={folder}/probe",
        )
        # Twice the same photos: one class is as good as the other.
        self.assertIn("linear probe: top-1 50.00 %, top-5 100.00 %", output)
        expected = {
            "classifier.keras",
            "classifier",
            "report.json",
            "confusion.png",
            "history.csv",
            "config.json",
            "backup",
        }
        self.assertEqual(self.file_names(folder / "probe"), expected)
        report = json.loads((folder / "probe/report.json").read_text())
        self.assertIn(report["probe"]["learning_rate"], (0.1, 10))
        # What is judged has chosen nothing.
        self.assertEqual(report["split"], "val")
        self.assertEqual(report["chosen_on"], "a tenth of train")
        # 8 images: not 20 neighbours. The two nearest are the same photo in
        # both classes: rounding decides which is first.
        self.assertEqual(list(report["knn"]), ["2"])
        self.assertEqual(report["knn"]["2"]["top5"], 1.0)
        of_images = [x["images"] for x in report["logistic"].values()]
        self.assertEqual(of_images, [4, 8])
        model = keras.saving.load_model(folder / "probe/classifier.keras")
        own = self.to_numpy(encoder(np.ones((1, 32, 32, 3))))
        self.assertEqual(model(np.ones((1, 32, 32, 3))).shape, (1, 2))
        self.assertEqual(model.class_names, ["first", "second"])
        features = model.get_layer("features")(np.ones((1, 32, 32, 3)))
        self.assertAllClose(features, own[:, 1:].mean(axis=1), 1e-5, 1e-5)
        self.assertEqual(model.encoder.normalization, normalization)
