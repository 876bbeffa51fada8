import io
import pathlib
import tempfile
import unittest

import numpy as np
import pytest

from keras_mim.data import read_pack
from keras_mim.data.packs import read_split

# TensorFlow reads, whatever trains.
pytestmark = pytest.mark.tensorflow_only

CLOTHING = pathlib.Path(__file__).parents[2] / "examples/data/clothing64.npz"


def write_pack(path, labels, classes):
    """Writes a pack of two files of one byte each."""
    np.savez(
        path,
        val_bytes=np.zeros(2, "uint8"),
        val_offsets=np.array([0, 1, 2]),
        val_labels=np.array(labels),
        classes=np.array(classes),
    )


class ReadPackTest(unittest.TestCase):
    def test_files_and_labels_are_cut_apart(self):
        files = [b"first", b"2nd", b"the third"]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "pack.npz")
            np.savez(
                path,
                val_bytes=np.frombuffer(b"".join(files), "uint8"),
                val_offsets=np.array([0, 5, 8, 17]),
                val_labels=np.array([1, 0, 1], "int16"),
                classes=np.array(["cat", "dog"]),
            )
            received, labels, class_names = read_pack(path, "val")
            with self.assertRaisesRegex(ValueError, r"\['val'\].*split=test"):
                read_pack(path, "test")
        self.assertEqual(received, files)
        self.assertEqual(labels.tolist(), [1, 0, 1])
        self.assertEqual(labels.dtype, "int32")
        self.assertEqual(class_names, ["cat", "dog"])

    def test_wrong_labels(self):
        for labels, message in (
            ([1, 2], r"from 0 to 1.*Received: 2 \(1 of 2 labels"),
            ([-1, 0], "`val_labels`.*Received: -1"),
            ([0.0, 0.5], "Received: 0.5"),
            ([0], r"2 images.*Received: shape \(1,\)"),
        ):
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder, "pack.npz")
                write_pack(path, labels, ["cat", "dog"])
                with self.assertRaisesRegex(ValueError, message):
                    read_pack(path, "val")
                # Who wants no labels is not told of them.
                self.assertEqual(len(read_split(path, "val", False)[0]), 2)

    def test_other_classes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "pack.npz")
            write_pack(path, [2, 0], ["ant", "bee", "cat"])
            names = ["dog", "cat", "ant"]  # No bees, which are not there.
            _, labels, found = read_split(path, "val", True, names)
            self.assertEqual((labels.tolist(), found), ([1, 2], names))
            with self.assertRaisesRegex(ValueError, r"lacks \['cat'\]"):
                read_split(path, "val", True, ["ant", "bee"])

    def test_missing_file(self):
        with self.assertRaisesRegex(ValueError, "Received: path=nowhere.npz"):
            read_pack("nowhere.npz", "train")

    def test_bundled_pack(self):
        if not CLOTHING.exists():
            self.skipTest("The bundled images are not here.")
        pillow = pytest.importorskip("PIL.Image")
        files, labels, class_names = read_pack(CLOTHING, "test")
        self.assertEqual(len(files), 372)
        self.assertEqual(sorted(set(labels.tolist())), list(range(10)))
        self.assertEqual(len(class_names), 10)
        self.assertEqual(pillow.open(io.BytesIO(files[-1])).size, (64, 64))
