import io
import pathlib
import tempfile
import unittest

import numpy as np
import pytest

from keras_mim.data import read_pack

CLOTHING = pathlib.Path(__file__).parents[2] / "examples/data/clothing64.npz"


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
