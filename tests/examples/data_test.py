import json

import keras
import numpy as np
import pytest
from absl import app
from absl import flags
from absl.testing import flagsaver

from keras_mim.data import ImagePipeline
from keras_mim.data._classes import assert_labels
from keras_mim.distribution import Placement
from support import classification
from support import data
from support import run_folder
from tests.test_case import TestCase

tf = pytest.importorskip("tensorflow")
if not flags.FLAGS.is_parsed():
    flags.FLAGS(["test"])


class DataTest(TestCase):
    """The data set of the examples, in this process."""

    def folder(self, *names):
        root = self.temp_dir()
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            keras.utils.save_img(path, np.zeros((8, 8, 3)))
        return root

    def splits(self, source, **given):
        with flagsaver.flagsaver(data=str(source), **given):
            return tuple(data.find_splits().values())

    def test_folders_by_their_names(self):
        folder = self.folder("Train/a/1.png", "Valid/a/1.png", "TEST/a/1.png")
        self.assertEqual(self.splits(folder), ("Train", "Valid", "TEST"))
        self.assertEqual(
            self.splits(folder, test_split=""), ("Train", "Valid", None)
        )
        folder = self.folder("cat/1.png", "dog/1.png")
        self.assertEqual(self.splits(folder), (".", None, None))
        folder = self.folder("images/a/1.png", "others/a/1.png")
        given = {"train_split": "images", "validation_split": "others"}
        self.assertEqual(
            self.splits(folder, **given), ("images", "others", None)
        )

    def test_what_is_not_understood_ends_the_program(self):
        for names, given, message in (
            (["training_set/a/1.png", "test_set/a/1.png"], {}, "training_set"),
            (["train/1.png", "car/1.png"], {}, "--train_split=. the whole"),
            (["bottle/train/1.png", "cable/train/1.png"], {}, "further down"),
            (["train/1.png"], {"test_split": "x"}, "test_split: there is no"),
        ):
            with self.assertRaisesRegex(app.UsageError, message):
                self.splits(self.folder(*names), **given)
        folder = self.folder("train/1.png", "car/1.png")
        self.assertEqual(self.splits(folder, train_split=".")[0], ".")
        with self.assertRaisesRegex(app.UsageError, "no folder nowhere"):
            self.splits("nowhere")

    def test_packs(self):
        path = self.temp_dir() / "pack.npz"
        empty = np.zeros(1, "int64")
        np.savez(path, TRAIN_offsets=empty, val_offsets=empty, classes=empty)
        self.assertEqual(self.splits(path), ("TRAIN", "val", None))
        with self.assertRaisesRegex(app.UsageError, "not all of those"):
            self.splits(path, test_split="tset")

    def test_the_validation_split_is_judged_where_there_is_no_other(self):
        for splits, judged in (
            ({"validation": "val", "test": "test"}, "test"),
            ({"validation": "val", "test": None}, "validation"),
            ({"validation": None, "test": None}, None),
        ):
            self.assertEqual(classification.judged_split(splits), judged)

    def test_a_class_that_training_lacks_is_named(self):
        names = ["train/ant/1.png", "train/cat/1.png", "val/bee/1.png"]
        pipeline = ImagePipeline((8, 8, 3), 2)
        with flagsaver.flagsaver(
            data=str(self.folder(*names, "val/cat/1.png"))
        ):
            train = data.make_dataset(pipeline, "train", True)
            classes = classification.find_classes(train)
            self.assertEqual(classes, ["ant", "cat"])
            with self.assertRaisesRegex(
                ValueError, r"val, but lacks \['bee'\]"
            ):
                data.make_dataset(pipeline, "validation", True, classes)
        with flagsaver.flagsaver(data=str(self.folder("cat/1.png"))):
            train = data.make_dataset(pipeline, "train", True)
            with self.assertRaisesRegex(app.UsageError, r"Found: \['cat'\]"):
                classification.find_classes(train)

    def test_a_split_without_labels_is_noticed_before_training(self):
        labels = tf.data.Dataset.from_tensors(-1)
        labels = labels.map(lambda label: assert_labels(label, 3))
        with self.assertRaisesRegex(
            app.UsageError,
            r"--test_split. [^$]*from 0 to 2 [^$]*Wrong are:\] \[?-1",
        ):
            classification.check_first(labels, "test")

    def test_a_resumed_run_has_the_classes_it_had(self):
        folder = self.temp_dir()
        run = run_folder.Run(folder, Placement())
        run.keep_classes(["ant", "bee"])
        run.begin()
        config = json.loads((folder / "config.json").read_text())
        self.assertEqual(config["class_names"], ["ant", "bee"])
        resumed = run_folder.Run(folder, Placement())
        resumed.resume()
        resumed.keep_classes(["ant", "bee"])
        with self.assertRaisesRegex(app.UsageError, "other classes.*now.*cat"):
            resumed.keep_classes(["ant", "bee", "cat"])
