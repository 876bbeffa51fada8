import os
import pathlib
import tempfile
import unittest
import warnings
from unittest import mock

import pytest

from keras_mim.data._folders import find_images

# TensorFlow reads, whatever trains.
pytestmark = pytest.mark.tensorflow_only


class FindImagesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def touch(self, *names):
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def found(self, **options):
        files, labels, _ = find_images(self.root, **options)
        return [
            pathlib.Path(file).relative_to(self.root).as_posix()
            for file in files
        ], labels

    def link(self, name, target):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def warning(self, **options):
        """The one warning, and what was found."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = self.found(**options)
        self.assertEqual(len(caught), 1)
        # This file, not the library.
        self.assertEqual(
            os.path.basename(caught[0].filename), "folders_test.py"
        )
        return str(caught[0].message), found

    def test_images_are_told_by_their_suffix_in_either_case(self):
        images = ["a.jpg", "b.JPEG", "c.png", "d.WebP", "e.bmp"]
        images += ["f.gif", "g.jfif", "h.JPE"]
        self.touch(*images, "i.txt", "jpg", ".k.jpg", ".l/m.jpg", "._a.jpg")
        self.touch("__MACOSX/n.jpg")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertEqual(self.found(), (images, None))

    def test_images_of_other_formats_are_counted_in_one_warning(self):
        self.touch("a.png", "b/1.tif", "b/2.TIF", "b/3.heic", "notes.txt")
        message, (files, _) = self.warning()
        self.assertEqual(files, ["a.png"])
        self.assertRegex(message, r"2 \.tif files.*b/[12]\.")
        self.assertRegex(message, r"1 \.heic files.*b/3\.heic")
        self.assertNotIn("txt", message)
        (self.root / "a.png").unlink()
        with self.assertRaisesRegex(
            ValueError, r"must hold images[^$]*2 \.tif"
        ):
            find_images(self.root)

    def test_pipes_and_what_cannot_be_listed_are_named(self):
        self.touch("a.png", "locked/1.png")
        os.mkfifo(self.root / "pipe.png")
        self.link("piped.png", "pipe.png")
        # What a reader will name.
        self.link("broken.png", "gone.png")
        self.link("self.png", "self.png")
        (self.root / "folder.png").mkdir()
        scandir = os.scandir

        def deny(path):
            if str(path).endswith("locked"):
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        with mock.patch("os.scandir", deny):
            message, (files, _) = self.warning()
        self.assertEqual(files, ["a.png", "broken.png", "self.png"])
        for name in ("pipe.png", "piped.png"):
            self.assertRegex(message, f"{name}, which is no file")
        self.assertRegex(message, "locked, which .* Permission denied")

    def test_names_that_are_no_text(self):
        names = [b"caf\xe9.png", b"\x8e\xca\x90^.png", b"new\nline #1.png"]
        names.append(b"x" * 251 + b".png")
        folder = os.fsencode(self.root) + b"/\xe9t\xe9"
        os.mkdir(folder)
        for name in names:
            open(os.path.join(folder, name), "w").close()
        files, labels, classes = find_images(self.root, labels=True)
        self.assertEqual(
            sorted(map(os.fsencode, files)),
            sorted(os.path.join(folder, name) for name in names),
        )
        # As text, so that files can hold it.
        self.assertEqual(classes, [r"\udce9t\udce9"])

    def test_each_file_is_found_once(self):
        self.touch("cat/1.png", "cat/2.png", "dog/1.png")
        self.link("cat/up", "..")
        self.link("cat/3.png", "1.png")
        self.link("dog/root", self.root)
        self.link("dog/above", self.root.parent)
        self.link("dog/again/and/again", "../../../dog/again")
        expected = ["cat/1.png", "cat/2.png", "dog/1.png"]
        for labels in (False, True):
            self.assertEqual(self.found(labels=labels)[0], expected)
        # Where the link comes first in the alphabet too.
        self.link("all", "cat")
        self.assertEqual(self.found(), (expected, None))

    def test_what_links_put_into_two_classes(self):
        self.touch("cat/1.png")
        self.link("dog/1.png", "../cat/1.png")
        with self.assertRaisesRegex(ValueError, "dog/1.png into cat too"):
            find_images(self.root, labels=True)
        with tempfile.TemporaryDirectory() as other:
            pathlib.Path(other, "2.png").touch()
            (self.root / "dog/1.png").unlink()
            self.link("dog/both", other)
            self.link("cat/both", other)
            with self.assertRaisesRegex(ValueError, "both into (cat|dog) too"):
                find_images(self.root, labels=True)
            self.assertEqual(len(self.found()[0]), 2)

    def test_a_tilde_and_a_slash_at_the_end(self):
        self.touch("photos/a.png")
        with mock.patch.dict(os.environ, HOME=str(self.root)):
            files, _, _ = find_images("~/photos/")
        self.assertEqual(files, [str(self.root / "photos/a.png")])

    def test_classes_of_others_are_matched_by_name(self):
        self.touch("bee/1.png", "cat/1.png", "empty/none.txt")
        names = ["cat", "ant", "bee"]
        files, labels, found = find_images(self.root, True, names)
        self.assertEqual(labels.tolist(), [2, 0])
        self.assertEqual(labels.dtype, "int32")
        self.assertEqual(found, names)
        with self.assertRaisesRegex(
            ValueError, r"lacks \['bee'\]. Received: class_names=\['ant'"
        ):
            find_images(self.root, True, ["ant", "cat"])

    def test_splits_are_no_classes(self):
        self.touch("Train/a/1.png", "TEST/a/1.png")
        with self.assertRaisesRegex(ValueError, "splits: \\['TEST', 'Train'"):
            find_images(self.root, True)
        names = ["TEST", "Train"]
        self.assertEqual(find_images(self.root, True, names)[2], names)
        # A train among other vehicles.
        self.touch("car/1.png")
        (self.root / "TEST").rename(self.root / "bus")
        self.assertEqual(find_images(self.root, True)[1].tolist(), [0, 1, 2])

    def test_subfolders_are_searched_and_sorted(self):
        self.touch("b/x/2.png", "a.png", "b/1.png")
        self.assertEqual(
            self.found(), (["a.png", "b/1.png", "b/x/2.png"], None)
        )

    def test_classes_are_the_first_folders_in_sorted_order(self):
        self.touch("dog/deep/1.png", "cat/2.png", "ant/none.txt", "cat/1.png")
        message, (files, labels) = self.warning(labels=True)
        self.assertEqual(files, ["cat/1.png", "cat/2.png", "dog/deep/1.png"])
        # The empty folder "ant" is class 0.
        self.assertEqual(labels.tolist(), [1, 1, 2])
        self.assertIn("without an image, ['ant']", message)

    def test_linked_folders_are_followed(self):
        with tempfile.TemporaryDirectory() as other:
            pathlib.Path(other, "1.png").touch()
            (self.root / "cat").symlink_to(other)
            files, labels = self.found(labels=True)
        self.assertEqual((files, labels.tolist()), (["cat/1.png"], [0]))

    def test_missing_folder(self):
        with self.assertRaisesRegex(
            ValueError, r"existing folder.*\.webp.*Received: path=.*nowhere"
        ):
            find_images(self.root / "nowhere")

    def test_folder_without_images(self):
        self.touch("notes.txt")
        with self.assertRaisesRegex(
            ValueError, rf"\.jpg, \.jpeg.*Received: path={self.root}"
        ):
            find_images(self.root)

    def test_labels_of_a_flat_folder(self):
        self.touch("cat/1.png", "2.png")
        with self.assertRaisesRegex(ValueError, r"1 lie directly.*2\.png"):
            find_images(self.root, labels=True)
