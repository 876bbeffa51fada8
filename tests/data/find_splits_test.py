import unittest

import pytest

from keras_mim.data import find_splits

# TensorFlow reads, whatever trains.
pytestmark = pytest.mark.tensorflow_only


class FindSplitsTest(unittest.TestCase):
    def test_known_names_in_any_case(self):
        for names in (
            ("train", "valid", "test"),
            ("Train", "Val", None),
            ("TRAIN", None, "TEST"),
            ("training", None, "testing"),
            ("train", "dev", None),
            ("training", "validation", "Testing"),
            ("train", None, None),
        ):
            there = [name for name in names if name] + ["annotations"]
            for classes in (False, True):
                # One known name among others may be a class.
                some = there[: -1 if sum(map(bool, names)) == 1 else None]
                found = find_splits(some, classes)
                self.assertEqual(tuple(found.values()), names)
                self.assertEqual(list(found), ["train", "validation", "test"])

    def test_folders_that_are_no_splits(self):
        for names in (
            [],
            ["2019", "2020"],
            ["cat", "dog"],
            ["train_station", "valley", "test_tube_rack"][:2],
            ["trainers", "testers"],
        ):
            self.assertEqual(find_splits(names, True)["train"], ".")

    def test_what_is_not_understood(self):
        for names, classes, message in (
            # A class of locomotives, or a split beside other things.
            (["car", "plane", "train"], True, "may be classes"),
            (["cat", "test"], True, "may be classes"),
            (["invalid", "valid"], True, "may be classes"),
            (["test", "val"], True, "No split is known"),
            (["Train", "train", "val"], True, "'Train' and 'train' may be"),
            (["train", "val", "valid"], True, "'val' and 'valid' may be"),
            (["test_set", "training_set"], True, "'training_set' may be"),
            (["train", "test", "val2017"], True, "validation .*'val2017'"),
            (["train", "eval"], False, "validation split.*'eval' may be"),
            (["test_images", "train"], False, "test split.*'test_images'"),
            (["data"], False, "No split is known"),
        ):
            with self.assertRaisesRegex(ValueError, message) as caught:
                find_splits(names, classes)
            self.assertIn(str(sorted(names)), str(caught.exception))

    def test_what_is_said_is_not_looked_for(self):
        names = ["test_set", "training_set", "val", "valid"]
        found = find_splits(
            names, True, train="training_set", validation="val", test=""
        )
        expected = {"train": "training_set", "validation": "val", "test": None}
        self.assertEqual(found, expected)
        vehicles = ["car", "plane", "train"]
        self.assertEqual(find_splits(vehicles, True, train=".")["train"], ".")
        found = find_splits(["train", "test"], train="train[:90%]")
        self.assertEqual(found["train"], "train[:90%]")
        self.assertEqual(found["test"], "test")

    def test_what_is_judged_is_not_trained_on(self):
        for names, given in (
            (["train", "test"], {"train": "test"}),
            (["train", "test"], {"validation": "train"}),
            (["cat", "test"], {"train": "."}),
        ):
            with self.assertRaisesRegex(ValueError, "must not be trained on"):
                find_splits(names, True, **given)
