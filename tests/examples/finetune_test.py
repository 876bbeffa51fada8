import json
import signal

import keras
import pytest

from keras_mim.encoders import ViT
from keras_mim.transfer import Classifier
from tests.examples.example_test_case import ExampleTestCase

pytest.importorskip("tensorflow")
pytest.importorskip("matplotlib")
# Killed in the second epoch, after two of its four batches, and then when all
# is trained and one file written.
KILL = """
import os, signal, sys, keras, keras_mim
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
class Killer(keras_mim.callbacks.FiniteCheck):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == 6: die()
if "--resume" in sys.argv:
    keras_mim.serving.export_classifier = die
else:
    keras_mim.callbacks.FiniteCheck = Killer
"""


class FinetuneTest(ExampleTestCase):
    @pytest.mark.tensorflow_only  # Slow; pretrain_test has the others.
    def test_a_killed_finetuning_ends_with_the_same_weights(self):
        folder = self.temp_dir()
        ViT((32, 32, 3), 8, 16, 1, 2, 32).save(folder / "encoder.keras")
        data = self.two_classes(folder)
        # Which validation lacks: its numbers are others than training's.
        (data / "train/absent").mkdir()
        flags = [
            f"--data={data}",
            f"--encoder={folder}",
            "--image_size=48",
            "--batch_size=2",
            "--epochs=3",
            "--clip_norm=5",
            "--drop_path_rate=0.5",
            "--ema_momentum=0.5",
            # Its draws do not follow from the epoch.
            "--norand_augment",
        ]
        to_kill = ["finetune.py", *flags, f"--output_dir={folder}/killed"]
        for epochs, resume in (((1, 2), []), ((2, 3), ["--resume"])):
            output = self.example(
                *to_kill, *resume, change=KILL, code=-signal.SIGKILL
            )
            for epoch in (1, 2, 3):
                shown = f"Epoch {epoch}/3" in output
                self.assertEqual(shown, epoch in epochs, output)
        output = self.example(*to_kill, "--resume")
        self.assertNotIn("Epoch", output)
        output = self.example(
            "finetune.py", *flags, f"--output_dir={folder}/whole"
        )
        self.assertIn("trains on train, watches val, judges on val", output)
        self.assertIn("val is both watched and judged", output)
        # Twice the same photos: one class is as good as the other.
        self.assertIn("val: top-1 50.00 %, top-5 100.00 %", output)
        expected = {
            "classifier.keras",
            "classifier",
            "report.json",
            "confusion.png",
            "accuracy.png",
            "history.csv",
            "config.json",
            "backup",
        }
        self.assertEqual(self.file_names(folder / "whole"), expected)
        report = json.loads((folder / "whole/report.json").read_text())
        self.assertEqual(set(report), {"top1", "loss", "top5", "split"})
        self.assertEqual(report["split"], "val")
        config = json.loads((folder / "killed/config.json").read_text())
        self.assertEqual(config["class_names"], ["absent", "first", "second"])
        resumed, whole = (
            keras.saving.load_model(folder / name / "classifier.keras")
            for name in ("killed", "whole")
        )
        self.assertIsInstance(whole, Classifier)
        self.assertEqual(whole.encoder.image_shape, (48, 48, 3))
        self.assertEqual(whole.encoder.drop_path_rate, 0.5)
        self.assertEqual(int(resumed.optimizer.iterations), 12)
        for one, other in zip(
            [*whole.weights, *whole.optimizer.variables],
            [*resumed.weights, *resumed.optimizer.variables],
            strict=True,
        ):
            self.assertAllEqual(one, other)
