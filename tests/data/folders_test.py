import pathlib
import tempfile
import unittest

from keras_mim.data._folders import find_images


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
        files, labels = find_images(self.root, **options)
        return [
            pathlib.Path(file).relative_to(self.root).as_posix()
            for file in files
        ], labels

    def test_images_are_told_by_their_suffix_in_either_case(self):
        images = ["a.jpg", "b.JPEG", "c.png", "d.WebP", "e.bmp"]
        self.touch(*images, "f.txt", "g.gif", "jpg", ".h.jpg", ".i/j.jpg")
        self.assertEqual(self.found(), (images, None))

    def test_subfolders_are_searched_and_sorted(self):
        self.touch("b/x/2.png", "a.png", "b/1.png")
        self.assertEqual(
            self.found(), (["a.png", "b/1.png", "b/x/2.png"], None)
        )

    def test_classes_are_the_first_folders_in_sorted_order(self):
        self.touch("dog/deep/1.png", "cat/2.png", "ant/none.txt", "cat/1.png")
        files, labels = self.found(labels=True)
        self.assertEqual(files, ["cat/1.png", "cat/2.png", "dog/deep/1.png"])
        # The empty folder "ant" is class 0.
        self.assertEqual(labels.tolist(), [1, 1, 2])

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
