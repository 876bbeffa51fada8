import csv
import json
import math
import shutil
import signal

import keras
import numpy as np
import pytest

from keras_mim import MAE
from keras_mim import SimMIM
from keras_mim.encoders import Swin
from keras_mim.encoders import ViT
from keras_mim.layers import MAEHead
from keras_mim.layers import MLPHead
from keras_mim.ops import patchify
from keras_mim.transfer import Classifier
from tests.converters import published
from tests.readme_test import RUN_EXAMPLE
from tests.readme_test import run
from tests.test_case import ROOT
from tests.test_case import TestCase

pytest.importorskip("tensorflow")
pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

PHOTOS = ROOT / "examples/data/photos"
SMALL = (
    "--data=photos --image_size=32 --hidden_dim=16 --num_layers=1 "
    "--num_heads=2 --decoder_dim=16 --decoder_layers=1 --decoder_heads=2 "
    "--epochs=2 --warmup_epochs=1 --batch_size=8 --picture_every=2"
).split()


class ExamplesTest(TestCase):
    def example(self, name, *arguments):
        result = run([ROOT / "examples" / name, *arguments])
        self.assertEqual(result.returncode, 0, result.stderr)
        # A warning of ours that a newcomer can do nothing about.
        self.assertNotIn("AutoGraph", result.stderr)
        return result.stdout

    def test_pretrain_stop_resume_then_reconstruct_and_export(self):
        folder = self.temp_dir()
        flags = [*SMALL, f"--output_dir={folder}/run"]
        # Stops in the second epoch, as a user's Ctrl-C does.
        script = (
            "import runpy, sys, keras\n"
            "class Stop(keras.callbacks.CSVLogger):\n"
            "    def on_epoch_begin(self, epoch, logs=None):\n"
            "        if epoch == 1: raise KeyboardInterrupt\n"
            "keras.callbacks.CSVLogger = Stop\n"
        ) + RUN_EXAMPLE
        stopped = run(["-c", script, ROOT / "examples/pretrain.py", *flags])
        self.assertIn("KeyboardInterrupt", stopped.stderr)
        self.assertTrue((folder / "run/backup").is_dir())
        self.assertFalse((folder / "run/model.keras").exists())
        stdout = self.example("pretrain.py", *flags, "--resume")
        self.assertNotIn("Epoch 1/2", stdout)
        self.assertIn("Epoch 2/2", stdout)
        names = {path.name for path in (folder / "run").iterdir()}
        expected = {
            "model.keras",
            "encoder.keras",
            "encoder",
            "reconstructions.png",
            "reconstructions",
            "loss.png",
            "history.csv",
            "config.json",
        }
        self.assertEqual(names, expected)
        model = keras.saving.load_model(folder / "run/model.keras")
        self.assertIsInstance(model, MAE)
        # 28 photos make three batches of 8, twice.
        self.assertEqual(int(model.optimizer.iterations), 6)
        config = json.loads((folder / "run/config.json").read_text())
        self.assertEqual(config["flags"]["hidden_dim"], 16)
        self.assertEqual(config["versions"]["backend"], keras.backend.backend())
        with open(folder / "run/history.csv") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["epoch"] for row in rows], ["0", "1"])

        photos = [PHOTOS / "kodak_01.jpg", PHOTOS / "skimage_chelsea.jpg"]
        stdout = self.example(
            "reconstruct.py",
            f"--run={folder}/run",
            "--mask_ratio=0.9",
            f"--output={folder}/pictures/rec.png",
            *photos,
        )
        self.assertIn("94% of the patches", stdout)  # 15 of 16.
        picture = Image.open(folder / "pictures/rec.png")
        self.assertGreater(np.array(picture).std(), 0)
        self.example(
            "export_encoder.py",
            f"--run={folder}/run",
            "--pooling=mean",
            f"--output={folder}/served",
        )
        self.assertTrue((folder / "served/saved_model.pb").exists())

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_reconstruct_with_other_masks(self):
        folder = self.temp_dir()
        encoder = ViT((32, 32, 3), 8, 16, 1, 2, 32)
        MAE(encoder, head=MAEHead(16, 1, 2)).save(folder / "model.keras")
        mask = np.zeros((32, 32), "uint8")
        mask[:, :16] = 255
        Image.fromarray(mask).save(folder / "mask.png")
        for flag, shown in (
            ("--mask_ratio=0.5,0.75", "50% hidden, 75% hidden"),
            (f"--mask_image={folder}/mask.png", "50% of the patches"),
        ):
            stdout = self.example(
                "reconstruct.py",
                f"--run={folder}/model.keras",
                flag,
                f"--output={folder}/rec.png",
                PHOTOS / "kodak_01.jpg",
                PHOTOS / "skimage_chelsea.jpg",
            )
            self.assertIn(shown, stdout)
            self.assertGreater(
                np.array(Image.open(folder / "rec.png")).std(), 0
            )
            (folder / "rec.png").unlink()

    def two_classes(self, folder):
        """Writes the same photos as two classes, to train and to judge on."""
        images = folder / "images"
        for split, number in (("train", 4), ("val", 2)):
            for i in range(number):
                name = f"kodak_{number + i:02d}.jpg"
                for kind in ("a", "b"):
                    (images / split / kind).mkdir(parents=True, exist_ok=True)
                    shutil.copy(PHOTOS / name, images / split / kind)
        return images

    def test_a_killed_finetuning_ends_with_the_same_weights(self):
        folder = self.temp_dir()
        ViT((32, 32, 3), 8, 16, 1, 2, 32).save(folder / "encoder.keras")
        flags = [
            f"--data={self.two_classes(folder)}",
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
        # Killed in the second epoch, after two of its four batches, and then
        # when all is trained and one file written.
        script = (
            "import os, runpy, signal, sys, keras, keras_mim\n"
            "def die(*args, **kwargs):\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "class Killer(keras.callbacks.TerminateOnNaN):\n"
            "    def on_train_batch_end(self, batch, logs=None):\n"
            "        if self.model.optimizer.iterations == 6: die()\n"
            "if '--resume' in sys.argv:\n"
            "    keras_mim.serving.export_classifier = die\n"
            "else:\n"
            "    keras.callbacks.TerminateOnNaN = Killer\n"
        ) + RUN_EXAMPLE
        name = ROOT / "examples/finetune.py"
        to_kill = [*flags, f"--output_dir={folder}/killed"]
        for epochs, resume in (((1, 2), []), ((2, 3), ["--resume"])):
            killed = run(["-c", script, name, *to_kill, *resume])
            self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
            for epoch in (1, 2, 3):
                shown = f"Epoch {epoch}/3" in killed.stdout
                self.assertEqual(shown, epoch in epochs, killed.stdout)
        stdout = self.example("finetune.py", *to_kill, "--resume")
        self.assertNotIn("Epoch", stdout)
        stdout = self.example(
            "finetune.py", *flags, f"--output_dir={folder}/whole"
        )
        # Twice the same photos: one class is as good as the other.
        self.assertIn("val: top-1 50.00 %, top-5 100.00 %", stdout)
        names = {path.name for path in (folder / "whole").iterdir()}
        expected = {
            "classifier.keras",
            "classifier",
            "report.json",
            "confusion.png",
            "accuracy.png",
            "history.csv",
            "config.json",
        }
        self.assertEqual(names, expected)
        report = json.loads((folder / "whole/report.json").read_text())
        self.assertEqual(set(report), {"top1", "loss", "top5"})
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

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_linear_probe(self):
        pytest.importorskip("sklearn")
        folder = self.temp_dir()
        encoder = ViT((32, 32, 3), 8, 16, 1, 2, 32)
        encoder.save(folder / "encoder.keras")
        stdout = self.example(
            "linear_probe.py",
            f"--data={self.two_classes(folder)}",
            f"--encoder={folder}/encoder.keras",
            "--epochs=2",
            "--warmup_epochs=1",
            "--learning_rates=0.1,10",
            "--neighbors=2,20",
            "--shares=0.5",
            f"--output_dir={folder}/probe",
        )
        # Twice the same photos: one class is as good as the other.
        self.assertIn("linear probe: top-1 50.00 %, top-5 100.00 %", stdout)
        names = {path.name for path in (folder / "probe").iterdir()}
        expected = {
            "classifier.keras",
            "classifier",
            "report.json",
            "confusion.png",
            "history.csv",
            "config.json",
        }
        self.assertEqual(names, expected)
        report = json.loads((folder / "probe/report.json").read_text())
        self.assertIn(report["probe"]["learning_rate"], (0.1, 10))
        # 8 images: not 20 neighbours.
        self.assertEqual(report["knn"], {"2": {"top1": 0.5, "top5": 1.0}})
        of_images = [x["images"] for x in report["logistic"].values()]
        self.assertEqual(of_images, [4, 8])
        model = keras.saving.load_model(folder / "probe/classifier.keras")
        own = self.to_numpy(encoder(np.ones((1, 32, 32, 3))))
        self.assertEqual(model(np.ones((1, 32, 32, 3))).shape, (1, 2))
        features = model.get_layer("features")(np.ones((1, 32, 32, 3)))
        self.assertAllClose(features, own[:, 1:].mean(axis=1), 1e-5, 1e-5)

    @pytest.mark.tensorflow_only  # The same on every backend.
    def test_report_of_finished_runs(self):
        folder = self.temp_dir()
        tops = {"probe": 0.5, "probe_untrained": 0.25, "scratch": 0.375}
        for seed in range(2):
            tuned = {"finetune": 0.75, "last_0.5": 0.625}
            for name, top in {**tuned, **tops}.items():
                top = {"top1": top + seed / 8}
                run_folder = folder / f"seed{seed}" / name
                run_folder.mkdir(parents=True)
                content = {
                    **top,
                    "split": "test",
                    "probe": top,
                    "knn": {"10": top},
                    "logistic": {"0.1": {"images": 306, **top}},
                }
                (run_folder / "report.json").write_text(json.dumps(content))
                (run_folder / "config.json").write_text(
                    json.dumps({"flags": {"epochs": 20}})
                )
                (run_folder / "history.csv").write_text(
                    "epoch,accuracy,val_accuracy\n0,0.1,0.2\n1,0.3,0.4\n"
                )
            pretrain = folder / f"seed{seed}" / "pretrain"
            (pretrain / "encoder").mkdir(parents=True)
            (pretrain / "encoder" / "saved_model.pb").write_text("")
            (pretrain / "config.json").write_text('{"flags": {"epochs": 30}}')
            # Without validation.
            (pretrain / "history.csv").write_text("epoch,loss\n0,1\n1,0.9\n")
        stdout = self.example(
            "report.py",
            f"--output_dir={folder}",
            "--seeds=2",
            "--last_blocks=0.5",
            "--parallel=2",
        )
        page = (folder / "report.md").read_text()
        for row in (
            "| 10 nearest neighbours | 56.2 ± 8.8 | 31.2 ± 8.8 | 25.0 ± 0.0 |",
            "| logistic regression, 306 labels | 56.2 ± 8.8 | ",
            "| linear probe | 56.2 ± 8.8 | 31.2 ± 8.8 | 25.0 ± 0.0 |",
            "| fine-tuned whole, 20 epochs | 81.2 ± 8.8 | 43.8 ± 8.8 | 37.5 ",
            "| last blocks fine-tuned: 0.5 | 68.8 ± 8.8 | | |",
        ):
            self.assertIn(row, page)
            self.assertIn(row, stdout)
        self.assertIn("30 epochs of pre-training", page)
        self.assertIn("on the test split", page)
        self.assertGreater(np.array(Image.open(folder / "report.png")).std(), 0)

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_a_run_is_not_written_over_nor_resumed_with_other_flags(self):
        folder = self.temp_dir() / "run"
        folder.mkdir()
        flags = {"method": "mae", "seed": 0}
        (folder / "config.json").write_text(json.dumps({"flags": flags}))
        out = f"--output_dir={folder}"
        again = run([ROOT / "examples/pretrain.py", *SMALL, out])
        self.assertIn("There is a run in", again.stdout + again.stderr)
        other = run(
            [ROOT / "examples/pretrain.py", *SMALL, out]
            + ["--resume", "--seed=5"]
        )
        self.assertIn("'seed': 5", other.stdout + other.stderr)

    @pytest.mark.torch_only  # Slow, and the same on every backend.
    def test_reconstruct_from_a_published_checkpoint(self):
        torch = pytest.importorskip("torch")
        folder = self.temp_dir()
        # The widths of the published kind, which tell the number of heads.
        shapes = published.encoder_shapes(192, 1, 16)
        arrays = published.random_arrays(
            shapes | published.decoder_shapes(192, 16, depth=1), (14, 14)
        )
        tensors = {k: torch.tensor(v) for k, v in arrays.items()}
        path = folder / "mae_visualize_vit_base.pth"
        torch.save({"model": tensors}, path)
        stdout = self.example(
            "reconstruct.py",
            f"--checkpoint={path}",
            f"--output={folder}/rec.png",
            PHOTOS / "skimage_chelsea.jpg",
        )
        self.assertIn("75% of the patches", stdout)
        self.assertGreater(np.array(Image.open(folder / "rec.png")).std(), 0)

        encoder = {k: tensors[k] for k in shapes}
        path = folder / "mae_pretrain_vit_base.pth"
        torch.save({"model": encoder}, path)
        result = run(
            [ROOT / "examples/reconstruct.py", f"--checkpoint={path}"]
            + [PHOTOS / "skimage_chelsea.jpg"]
        )
        self.assertIn(
            "an encoder and no decoder", result.stdout + result.stderr
        )

    def recipes(self, example, prefixes, epochs):
        """Returns rates at some epochs of 625 steps, and flags, by recipe."""
        script = (
            "import json, sys, importlib\n"
            "from absl import flags\n"
            "sys.path.insert(0, sys.argv.pop(1))\n"
            "import training\n"
            "importlib.import_module(sys.argv.pop(1))\n"
            "for recipe, epochs in json.loads(sys.argv[1]).items():\n"
            "    flags.FLAGS.unparse_flags()\n"
            "    flags.FLAGS(['', '--flagfile=' + recipe])\n"
            "    rate = training.make_schedule(625)\n"
            "    rates = {e: float(rate(625 * int(e))) for e in epochs}\n"
            "    values = training.FLAGS.flag_values_dict()\n"
            "    print(json.dumps([rates, values]))\n"
        )
        folder = ROOT / "examples/recipes"
        paths = {str(folder / f"{name}.txt"): at for name, at in epochs.items()}
        there = {
            str(path)
            for path in folder.glob("*.txt")
            if path.name.startswith(prefixes)
        }
        self.assertEqual(there, set(paths))
        result = run(
            ["-c", script, ROOT / "examples", example, json.dumps(paths)]
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        found = map(json.loads, result.stdout.splitlines())
        return dict(zip(epochs, found, strict=True))

    def check_rates(self, recipes, expected):
        for name, rates in expected.items():
            for epoch, rate in rates.items():
                self.assertAllClose(recipes[name][0][str(epoch)], rate, 1e-5, 0)

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_the_pre_training_recipes_are_the_papers(self):
        # Rates by epoch, from SimMIM's table: a batch of 2048, 10 epochs of
        # warm-up. timm's cosine is not at its peak when it takes over.
        met = 4e-5 + (8e-4 - 4e-5) * (1 + math.cos(math.pi / 10)) / 2
        step = {0: 2e-6, 10: 4e-4, 699: 4e-4, 700: 4e-5}
        # MAE's: a batch of 4096, 40 epochs of warm-up, half of a cosine.
        mae = {0: 0, 20: 1.2e-3, 40: 2.4e-3, 420: 1.2e-3, 800: 0}
        expected = {
            "simmim_swin_base_100": {0: 4e-6, 5: 4.02e-4, 10: met, 100: 4e-5},
            "simmim_swin_base_800": step,
            "simmim_swin_large_800": step,
            "simmim_vit_base_800": step,
            "mae_vit_base_800": mae,
            "mae_vit_large_800": mae,
            "mae_vit_huge_800": mae,
        }
        found = self.recipes("pretrain", ("simmim", "mae"), expected)
        self.check_rates(found, expected)
        for name, (_, flags) in found.items():
            method, encoder, size, epochs = name.split("_")
            self.assertEqual(flags["method"], method)
            self.assertEqual(flags["encoder"], f"{encoder}_{size}")
            self.assertEqual(flags["epochs"], int(epochs))
            batch_size = {"mae": 4096, "simmim": 2048}[method]
            self.assertEqual(flags["batch_size"], batch_size)

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_the_fine_tuning_recipes_are_the_papers(self):
        # Peak 5e-3 for a batch of 2048, timm's cosine over 100 epochs, 20 of
        # warm-up, from and to 1e-6; MAE: 4e-3 (2e-3 for ViT-B) for 1024, a
        # cosine after 5 epochs, to 1e-6.
        met = 1e-6 + (5e-3 - 1e-6) * (1 + math.cos(math.pi / 5)) / 2
        simmim = {0: 1e-6, 10: (1e-6 + 5e-3) / 2, 20: met, 100: 1e-6}
        expected = {
            "finetune_simmim_swin_base_100_192": simmim,
            "finetune_simmim_swin_base_100": simmim,
            "finetune_simmim_swin_base_800": simmim,
            "finetune_simmim_swin_large_800": simmim,
            "finetune_simmim_vit_base_800": simmim,
            "finetune_mae_vit_base": {0: 0, 5: 2e-3, 100: 1e-6},
            "finetune_mae_vit_large": {0: 0, 5: 4e-3, 50: 1e-6},
            "finetune_mae_vit_huge": {0: 0, 5: 4e-3, 50: 1e-6},
        }
        found = self.recipes("finetune", ("finetune",), expected)
        self.check_rates(found, expected)
        decays = [flags["layer_decay"] for _, flags in found.values()]
        self.assertEqual(decays, [0.9, 0.9, 0.8, 0.7, 0.65, 0.65, 0.75, 0.75])
        drops = [flags["drop_path_rate"] for _, flags in found.values()]
        self.assertEqual(drops, [0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.2, 0.3])

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_the_linear_probes_recipe_is_maes(self):
        # 0.1 per 256 images for a batch of 16,384, half a cosine to 0.
        expected = {"linear_probe_mae": {0: 0, 10: 6.4, 50: 3.2, 90: 0}}
        found = self.recipes("linear_probe", ("linear_probe",), expected)
        self.assertAllClose(
            list(found["linear_probe_mae"][0].values()), [0, 6.4, 3.2, 0]
        )

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_a_tokens_patch_is_the_nearest_mean(self):
        pytest.importorskip("sklearn")
        folder = self.temp_dir()
        stdout = self.example(
            "train_tokenizer.py",
            *"--data=photos --image_size=32 --num_tokens=20".split(),
            f"--output_dir={folder}/tokenizer",
        )
        self.assertRegex(stdout, r"\d+ of 20 tokens in 28 photos")
        tokenizer = keras.saving.load_model(
            folder / "tokenizer/tokenizer.keras"
        )
        kernel, _ = tokenizer.get_weights()
        means = kernel.reshape(8 * 8 * 3, 20).T / 2
        images = np.random.default_rng(0).random((2, 16, 24, 3), "float32")
        patches = self.to_numpy(patchify(images, 8))
        distances = np.square(patches[:, :, None] - means).sum(axis=-1)
        self.assertGreater(len(np.unique(means.round(3), axis=0)), 15)
        self.assertAllEqual(
            self.to_numpy(tokenizer(images)).argmax(axis=-1).reshape(2, -1),
            distances.argmin(axis=-1),
        )
        self.assertGreater(
            np.array(
                Image.open(folder / "tokenizer/reconstructions.png")
            ).std(),
            0,
        )

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_simmim_on_swin_and_object_masks(self):
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
        path = folder / "masks.png"
        stdout = self.example(
            "object_masks.py",
            f"--run={folder}/run",
            f"--output={path}",
            "--mask_patch_size=8",
        )
        self.assertIn("4 photos, three masks each", stdout)
        self.assertGreater(np.array(Image.open(path)).std(), 0)

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_avg_dist(self):
        path = self.temp_dir() / "pictures/avg_dist.png"
        stdout = self.example(
            "avg_dist.py",
            "--image_size=64",
            "--num_masks=2",
            f"--output={path}",
        )
        values = {
            line[:18].strip(): [float(v) for v in line[18:].split()]
            for line in stdout.splitlines()
            if " px  " in line or line.startswith("square")
        }
        self.assertGreater(
            values["random, 16 px"][4], values["random, 4 px"][4]
        )
        self.assertGreater(values["square"][4], values["random, 16 px"][4])
        self.assertGreater(np.array(Image.open(path)).std(), 0)
