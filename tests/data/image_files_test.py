import os
import pathlib
import tempfile
import unittest
import warnings

import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.data import ImagePipeline

# TensorFlow reads, whatever trains.
pytestmark = pytest.mark.tensorflow_only

tf = pytest.importorskip("tensorflow")
pillow = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(0)


def levels(dataset):
    """The grey level of each image's middle, 0 to 255."""
    images = np.concatenate(list(dataset.as_numpy_iterator()))
    return np.round(images[:, 4, 4, 0] * 255).astype("int").tolist()


def scaled(image_shape=(8, 8, 1), batch_size=4, **options):
    """A pipeline whose pixels are in [0, 1]."""
    channels = image_shape[2]
    unchanged = Normalization([0] * channels, [1] * channels)
    return ImagePipeline(
        image_shape, batch_size, normalization=unchanged, **options
    )


class ImageFilesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, name, level, size=(16, 24)):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pillow.fromarray(np.full(size, level, "uint8")).save(path)
        return path

    def write_levels(self, count=10):
        return [self.write(f"{i:02}.png", 10 * i % 256) for i in range(count)]

    def epoch(self, dataset):
        """The levels of an epoch, and the warnings it gave."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            return levels(dataset), [str(each.message) for each in caught]

    def test_all_formats(self):
        names = ["a.JPG", "b.jpeg", "c.png", "d.webp", "e.bmp"]
        for i, name in enumerate(names):
            self.write(name, 50 * i)
        (self.root / "b.jpeg").rename(self.root / "b.jfif")
        for shape in ((16, 8, 1), (8, 16, 3)):
            dataset = scaled(shape, 5, augment=False).from_folder(self.root)
            (images,) = dataset.as_numpy_iterator()
            self.assertEqual(images.shape, (5, *shape))
            self.assertEqual(images.dtype, "float32")
            expected = np.arange(5)[:, None, None, None] * 50
            # WebP is lossy here, by two levels at most.
            difference = np.abs(images * 255 - expected)
            self.assertLess(difference.max(), 2.5)

    def test_a_jpeg_is_decoded_as_its_pixels_would_be_taken(self):
        pixels = RNG.integers(0, 256, (60, 90, 3), "uint8")
        path = self.root / "a.jpg"
        pillow.fromarray(pixels).save(path, subsampling=0)
        pixels = np.asarray(pillow.open(path))
        for augment in (True, False):
            pipeline = scaled((24, 32, 3), 1, augment=augment, flip=False)
            pipeline.transform.choose_window = lambda size, seed: tf.constant(
                [7, 11, 40, 50]
            )
            (file,) = pipeline.from_folder(self.root).as_numpy_iterator()
            (array,) = pipeline.from_arrays(pixels[None]).as_numpy_iterator()
            np.testing.assert_array_equal(file, array)

    def test_classes_give_labels(self):
        for i in range(6):
            self.write(f"{'abc'[i % 3]}/deep/{i}.png", 40 * (i % 3))
        for augment in (True, False):
            pipeline = scaled(augment=augment)
            dataset = pipeline.from_folder(self.root, labels=True)
            images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
            labels = np.concatenate(labels)
            self.assertEqual(labels.dtype, "int32")
            self.assertEqual(sorted(labels), [0, 0, 1, 1, 2, 2])
            np.testing.assert_allclose(
                np.concatenate(images)[:, 4, 4, 0] * 255,
                40 * labels,
                atol=1e-3,
            )
        self.assertEqual(len(levels(scaled().from_folder(self.root))), 6)

    def test_evaluation_is_in_order_and_training_is_not(self):
        self.write_levels()
        in_order = [10 * i for i in range(10)]
        dataset = scaled(augment=False).from_folder(self.root)
        self.assertEqual(levels(dataset), in_order)
        dataset = scaled(seed=0).from_folder(self.root)
        first, second = levels(dataset), levels(dataset)
        self.assertEqual(sorted(first), in_order)
        self.assertEqual(sorted(second), in_order)
        self.assertNotEqual(first, second)

    def test_the_seed_fixes_every_epoch_and_epochs_differ(self):
        for i in range(3):
            noise = RNG.integers(0, 256, (40, 40, 3), "uint8")
            pillow.fromarray(noise).save(self.root / f"{i}.jpg")

        def epochs(seed):
            # One image a file and no shuffling to speak of: crops differ.
            pipeline = scaled((8, 8, 3), 3, seed=seed, shuffle=1)
            dataset = pipeline.from_folder(self.root)
            return [next(dataset.as_numpy_iterator()) for _ in range(2)]

        first, again = epochs(5), epochs(5)
        np.testing.assert_array_equal(first, again)
        difference = np.abs(first[0] - first[1])
        self.assertTrue((difference.max(axis=(1, 2, 3)) > 0.1).all())
        self.assertGreater(np.abs(first[0] - epochs(6)[0]).max(), 0.1)

    def test_epochs_can_begin_with_a_later_one(self):
        self.write_levels()
        # TensorFlow's own seed can be 0.
        tf.random.set_seed(0)
        dataset = scaled(seed=5).from_folder(self.root)
        later = scaled(seed=5, first_epoch=2).from_folder(self.root)
        epochs = [levels(dataset) for _ in range(4)]
        self.assertEqual(epochs[2:], [levels(later), levels(later)])
        self.assertNotEqual(epochs[2], epochs[3])

    def test_unreadable_files_are_skipped_with_one_warning_an_epoch(self):
        paths = self.write_levels()
        paths[0].write_bytes(b"")
        paths[4].write_bytes(b"\xff")
        paths[5].write_bytes(paths[6].read_bytes()[:60])
        paths[9].unlink()
        paths[9].symlink_to("nowhere")
        kept = [10 * i for i in (1, 2, 3, 6, 7, 8)]
        for augment in (True, False):
            dataset = scaled(augment=augment).from_folder(self.root)
            for _ in range(2):
                received, messages = self.epoch(dataset)
                self.assertEqual(sorted(set(received)), kept)
                # Training reads others twice, evaluation leaves them out.
                self.assertEqual(len(received), 10 if augment else 6)
                self.assertEqual(len(messages), 1)
                self.assertIn("4 of 10 files were skipped", messages[0])
                for i in range(10):
                    named = str(paths[i]) in messages[0]
                    self.assertEqual(named, i in (0, 4, 5, 9))

    def test_a_truncated_jpeg_is_skipped_whatever_its_crop(self):
        self.write("good.jpg", 80)
        noise = RNG.integers(0, 256, (64, 64), "uint8")
        path = self.root / "bad.jpg"
        pillow.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:-30])
        dataset = scaled().from_folder(self.root)
        for _ in range(4):
            received, messages = self.epoch(dataset)
            self.assertEqual(received, [80, 80])
            self.assertIn("bad.jpg", messages[0])

    def test_labels_stay_right_beside_skipped_files(self):
        for i in range(12):
            self.write(f"{i % 4}/{i:02}.png", 50 * (i % 4))
        for name in ("0/00.png", "2/06.png", "3/11.png"):
            (self.root / name).write_bytes(b"no image")
        dataset = scaled(seed=0).from_folder(self.root, labels=True)
        with self.assertWarnsRegex(UserWarning, "3 of 12"):
            pairs = list(dataset.as_numpy_iterator())
        images, labels = map(np.concatenate, zip(*pairs, strict=True))
        self.assertEqual(len(labels), 12)
        np.testing.assert_allclose(
            images[:, 4, 4, 0] * 255, 50 * labels, atol=1e-3
        )

    def test_at_most_ten_files_are_named(self):
        for path in self.write_levels(14)[1:]:
            path.write_bytes(b"no image")
        received, (message,) = self.epoch(
            scaled(augment=False).from_folder(self.root)
        )
        self.assertEqual(received, [0])
        self.assertIn("13 of 14", message)
        self.assertEqual(message.count(".png"), 10)

    def test_readable_and_abandoned_epochs_do_not_warn(self):
        paths = self.write_levels(40)
        dataset = scaled(batch_size=2, augment=False).from_folder(self.root)
        self.assertEqual(self.epoch(dataset)[1], [])
        paths[3].write_bytes(b"no image")
        self.assertEqual(self.epoch(dataset.take(1))[1], [])
        self.assertEqual(len(self.epoch(dataset)[1]), 1)

    def test_epochs_that_overlap_are_counted_apart(self):
        self.write_levels(6)[2].write_bytes(b"no image")
        dataset = scaled(augment=False).from_folder(self.root)
        both = tf.data.Dataset.zip(dataset, dataset).map(lambda a, b: a)
        received, messages = self.epoch(both)
        self.assertEqual(len(received), 5)
        self.assertTrue(messages)
        for message in messages:
            self.assertIn("1 of 6 files", message)

    def test_raise_names_the_first_file_when_it_is_reached(self):
        paths = self.write_levels()
        for i in (5, 9):
            paths[i].write_bytes(b"no image")
        pipeline = scaled(batch_size=1, augment=False, on_error="raise")
        iterator = iter(pipeline.from_folder(self.root))
        for i in range(5):
            self.assertAlmostEqual(
                float(next(iterator)[0, 4, 4, 0]) * 255, 10 * i, 3
            )
        with self.assertRaisesRegex(
            tf.errors.InvalidArgumentError, f"{paths[5]} cannot be read"
        ):
            next(iterator)

    def test_raise_notices_the_last_file(self):
        self.write_levels(3)[2].write_bytes(b"no image")
        pipeline = scaled(augment=False, on_error="raise")
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "02.png"):
            levels(pipeline.from_folder(self.root))

    def test_an_epoch_without_a_readable_file_fails(self):
        for path in self.write_levels(3):
            path.write_bytes(b"no image")
        dataset = scaled(augment=False).from_folder(self.root)
        with self.assertRaisesRegex(
            tf.errors.InvalidArgumentError, "None of the 3 files"
        ):
            levels(dataset)

    def test_number_of_batches(self):
        self.write_levels()
        dataset = scaled(augment=False, on_error="raise").from_folder(self.root)
        self.assertEqual(len(dataset), 3)
        self.assertEqual(len(levels(dataset)), 10)
        dataset = scaled(augment=False, drop_remainder=True).from_folder(
            self.root
        )
        # Unknown, for files may be skipped.
        self.assertEqual(int(dataset.cardinality()), -2)
        self.assertEqual(len(levels(dataset)), 8)

    def test_training_has_a_known_length_with_files_skipped_too(self):
        # Without one, Keras on TensorFlow runs a step too many every epoch.
        for path in self.write_levels()[:7]:
            path.write_bytes(b"no image")
        dataset = scaled(batch_size=4).from_folder(self.root)
        self.assertEqual(len(dataset), 3)
        received, (message,) = self.epoch(dataset)
        self.assertEqual(len(received), 10)
        self.assertEqual(set(received), {70, 80, 90})
        self.assertIn("7 of 10", message)

    def test_shards_are_equally_long_whatever_is_skipped(self):
        self.write_levels(10)
        (self.root / "bad.png").write_bytes(b"no image")
        for augment in (True, False):
            seen = []
            for index in range(2):
                dataset = scaled(
                    augment=augment, shard=(index, 2), seed=0
                ).from_folder(self.root)
                epoch, _ = self.epoch(dataset)
                self.assertEqual(len(epoch), 5)
                seen += list(epoch)
            # One of eleven is left out; one may be the unreadable one.
            self.assertGreaterEqual(len(set(seen)), 9)

    def test_names_that_are_no_utf8_are_read_and_named(self):
        whole = self.write("a.png", 10).read_bytes()
        folder = os.fsencode(self.root)
        for name, content in ((b"\xe9.png", whole), (b"\xea\n.png", b"")):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        dataset = scaled(augment=False).from_folder(self.root)
        received, (message,) = self.epoch(dataset)
        self.assertEqual(received, [10, 10])
        self.assertIn("1 of 3 files", message)
        self.assertIn(r"\udcea\n.png", message)
        pipeline = scaled(augment=False, on_error="raise")
        with self.assertRaisesRegex(
            tf.errors.InvalidArgumentError, r"udcea\\n.png cannot be read"
        ):
            levels(pipeline.from_folder(self.root))

    def test_a_split_that_lacks_a_class_has_the_others_labels(self):
        for i, name in enumerate("abc"):
            self.write(f"train/{name}/1.png", 50 * i)
            if name != "a":
                self.write(f"val/{name}/1.png", 50 * i)
        train = scaled().from_folder(self.root / "train", labels=True)
        self.assertEqual(train.class_names, ["a", "b", "c"])
        pipeline = scaled(augment=False)
        validation = pipeline.from_folder(
            self.root / "val", labels=True, class_names=train.class_names
        )
        ((images, labels),) = validation.as_numpy_iterator()
        self.assertEqual(labels.tolist(), [1, 2])
        np.testing.assert_allclose(images[:, 4, 4, 0] * 255, [50, 100], 1e-5)
        self.assertEqual(validation.class_names, ["a", "b", "c"])

    def test_missing_and_flat_folders_fail_at_once(self):
        with self.assertRaisesRegex(ValueError, "must be an existing folder"):
            scaled().from_folder(self.root / "nowhere")
        self.write_levels(1)
        with self.assertRaisesRegex(ValueError, "needs every image in a class"):
            scaled().from_folder(self.root, labels=True)

    def test_unreadable_images_of_a_pack_are_named(self):
        files = [path.read_bytes() for path in self.write_levels(3)]
        files[1] = b"no image"
        offsets = np.cumsum([0] + [len(file) for file in files])
        path = self.root / "pack.npz"
        np.savez(
            path,
            train_bytes=np.frombuffer(b"".join(files), "uint8"),
            train_offsets=offsets,
            train_labels=np.arange(3),
            classes=np.array(["a", "b", "c"]),
        )
        received, (message,) = self.epoch(scaled(augment=False).from_pack(path))
        self.assertEqual(received, [0, 20])
        self.assertIn(f"{path}, train image 1", message)
