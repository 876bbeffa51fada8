import csv
import json
import signal

import keras
import pytest

from keras_mim import MAE
from keras_mim import SimMIM
from keras_mim.encoders import Swin
from keras_mim.layers import MLPHead
from tests.examples.example_test_case import PHOTOS
from tests.examples.example_test_case import SMALL
from tests.examples.example_test_case import ExampleTestCase

pytest.importorskip("tensorflow")
pytest.importorskip("matplotlib")
# Ctrl-C after the first step of the second epoch.
STOP = """
import keras_mim, os, signal
class Stop(keras_mim.callbacks.FiniteCheck):
    def on_train_batch_begin(self, batch, logs=None):
        if (self._epoch, batch) == (1, 1): os.kill(os.getpid(), signal.SIGINT)
keras_mim.callbacks.FiniteCheck = Stop
"""
# Tells which folders are listed, and ends when the model is made.
LIST = """
import keras, sys
from keras_mim.data import ImagePipeline
from_folder = ImagePipeline.from_folder
def tell(self, path, **options):
    print("listed", path.name)
    return from_folder(self, path, **options)
ImagePipeline.from_folder = tell
keras.Model.summary = lambda self: sys.exit()
"""


class PretrainTest(ExampleTestCase):
    def test_pretrain_stop_resume_then_reconstruct_and_export(self):
        folder = self.temp_dir()
        flags = [*SMALL, f"--output_dir={folder}/run"]
        stopped = self.example(
            "pretrain.py", *flags, change=STOP, code=-signal.SIGINT
        )
        self.assertIn("SIGINT: 1 epochs are finished", stopped)
        self.assertIn("and step 1 of the next one", stopped)
        self.assertFalse((folder / "run/model.keras").exists())
        output = self.example("pretrain.py", *flags, "--resume")
        self.assertNotIn("Epoch 1/2", output)
        self.assertIn("Epoch 2/2", output)
        expected = {
            "model.keras",
            "encoder.keras",
            "encoder",
            "reconstructions.png",
            "reconstructions",
            "loss.png",
            "history.csv",
            "config.json",
            "backup",
        }
        self.assertEqual(self.file_names(folder / "run"), expected)
        finished = self.example("pretrain.py", *flags, "--resume")
        self.assertIn("is finished, and stays as it is", finished)
        self.assertNotIn("Epoch", finished)
        model = keras.saving.load_model(folder / "run/model.keras")
        self.assertIsInstance(model, MAE)
        # 28 photos make three batches of 8, twice.
        self.assertEqual(int(model.optimizer.iterations), 6)
        config = json.loads((folder / "run/config.json").read_text())
        self.assertEqual(config["flags"]["hidden_dim"], 16)
        # Of every module whose flags are adopted.
        for name in ("data", "epochs", "crop", "masking", "distribution"):
            self.assertIn(name, config["flags"])
        self.assertEqual(config["versions"]["backend"], keras.backend.backend())
        with open(folder / "run/history.csv") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["epoch"] for row in rows], ["0", "1"])

        photos = [PHOTOS / "kodak_01.jpg", PHOTOS / "skimage_chelsea.jpg"]
        output = self.example(
            "reconstruct.py",
            f"--run={folder}/run",
            "--mask_ratio=0.9",
            f"--output={folder}/pictures/rec.png",
            *photos,
        )
        self.assertIn("94% of the patches", output)  # 15 of 16.
        self.assertIsPicture(folder / "pictures/rec.png")
        self.example(
            "export_encoder.py",
            f"--run={folder}/run",
            "--pooling=mean",
            f"--output={folder}/served",
        )
        self.assertTrue((folder / "served/saved_model.pb").exists())

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_simmim_on_swin_then_object_masks_and_export(self):
        folder = self.temp_dir()
        self.example(
            "pretrain.py",
            *("--method=simmim --encoder=swin --data=photos").split(),
            *("--hidden_dim=16 --depths=1,1 --num_heads=1").split(),
            *("--image_size=64 --epochs=1 --batch_size=14").split(),
            *("--simmim_head=mlp --pool_size=2 --loss=smooth_l1").split(),
            *("--masking=block --loss_on_all_patches").split(),
            "--nojit_compile",  # Compiling takes longer than two steps.
            f"--output_dir={folder}/run",
        )
        model = keras.saving.load_model(folder / "run/model.keras")
        self.assertIsInstance(model, SimMIM)
        self.assertIsInstance(model.encoder, Swin)
        self.assertIsInstance(model.head, MLPHead)
        self.assertTrue(model.loss_on_all_patches)
        output = self.example(
            "object_masks.py",
            f"--run={folder}/run",
            f"--output={folder}/masks.png",
            "--mask_patch_size=8",
        )
        self.assertIn("4 photos, three masks each", output)
        self.assertIsPicture(folder / "masks.png")
        # Which has no class token.
        self.example(
            "export_encoder.py",
            f"--run={folder}/run",
            f"--output={folder}/served",
        )
        self.assertTrue((folder / "served/saved_model.pb").exists())

    @pytest.mark.tensorflow_only  # The same on every backend.
    def test_only_a_pca_reads_the_training_images_once_more(self):
        folder = self.temp_dir()
        data = f"--data={self.two_classes(folder)}"
        pca = ["--target=pca", "--num_components=4"]
        for name, target, times in (("pixels", [], 1), ("pca", pca, 2)):
            out = f"--output_dir={folder}/{name}"
            output = self.example(
                "pretrain.py", *SMALL, data, *target, out, change=LIST
            )
            self.assertEqual(output.count("listed train"), times, output)
            self.assertIn("listed val", output)

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_a_run_is_not_written_over_nor_resumed_with_other_flags(self):
        folder = self.temp_dir() / "run"
        folder.mkdir()
        config = {
            "flags": {"method": "mae", "seed": 0},
            "versions": {"backend": keras.backend.backend()},
        }
        (folder / "config.json").write_text(json.dumps(config))
        command = ["pretrain.py", *SMALL, f"--output_dir={folder}"]
        again = self.example(*command, code=1)
        self.assertIn("There is a run in", again)
        other = self.example(*command, "--resume", "--seed=5", code=1)
        self.assertIn("'seed': 5", other)

    @pytest.mark.tensorflow_only  # Callbacks' tests have the other backends.
    def test_a_loss_that_is_not_finite_exports_nothing(self):
        folder = self.temp_dir() / "run"
        command = ["pretrain.py", *SMALL, f"--output_dir={folder}"]
        # What fails before the first step is not in the way of the next start.
        wrong = self.example(*command, "--encoder=vit_none", code=1)
        self.assertIn("vit_none", wrong)
        self.assertFalse((folder / "config.json").exists())
        output = self.example(*command, "--base_learning_rate=1e30", code=1)
        self.assertRegex(output, r"FloatingPointError: Step \d of epoch \d")
        self.assertNotIn("The encoder to serve", output)
        self.assertEqual(
            self.file_names(folder) & {"model.keras", "encoder.keras"}, set()
        )

    @pytest.mark.tensorflow_only  # Weights in parts are JAX's.
    def test_what_cannot_be_distributed_is_a_wrong_flag(self):
        folder = self.temp_dir() / "run"
        for flag, reason in (
            ("--distribution=model", "needs KERAS_BACKEND=jax"),
            ("--batch_size=0", "Received: --batch_size=0"),
        ):
            output = self.example(
                "pretrain.py", *SMALL, flag, f"--output_dir={folder}", code=1
            )
            self.assertIn(reason, output)
            self.assertNotIn("Traceback", output)
            self.assertFalse(folder.exists())
