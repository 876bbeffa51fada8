import pathlib
import tempfile
import unittest

import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.data import ImagePipeline

# TensorFlow reads, whatever trains.
pytestmark = pytest.mark.tensorflow_only

tf = pytest.importorskip("tensorflow")
tfds = pytest.importorskip("tensorflow_datasets")

UNCHANGED = Normalization((0, 0, 0), (1, 1, 1))


class TinyBuilder(tfds.core.GeneratorBasedBuilder):
    # TFDS would look for checksums beside this file, for which it needs
    # importlib_resources, although it does not require it.
    code_path = None
    VERSION = tfds.core.Version("1.0.0")

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(self.features)
        )


class KerasMimTinyImages(TinyBuilder):
    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(num_classes=20),
        "text": tfds.features.Text(),
    }

    def _generate_examples(self):
        for i in range(20):
            image = np.full((16, 24, 3), 10 * i, "uint8")
            yield i, {"image": image, "label": i, "text": "unused"}


class KerasMimTinyClasses(TinyBuilder):
    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(names=["ant", "bee", "cat"]),
    }

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples([2, 0, 1]),
            # As in test splits whose labels are kept back.
            "test": self._generate_examples([0, -1]),
        }

    def _generate_examples(self, labels):
        for i, label in enumerate(labels):
            yield i, {"image": np.zeros((8, 8, 3), "uint8"), "label": label}


class KerasMimTinyTexts(TinyBuilder):
    features = {"text": tfds.features.Text()}

    def _generate_examples(self):
        yield 0, {"text": "no image"}


class KerasMimTinyFloats(TinyBuilder):
    features = {
        "image": tfds.features.Image(shape=(4, 4, 1), dtype=np.float32),
    }

    def _generate_examples(self):
        yield 0, {"image": np.zeros((4, 4, 1), "float32")}


class TfdsRecordsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data_dir = folder.name

    def read(self, labels=True, **options):
        pipeline = ImagePipeline(
            (8, 8, 3), 8, normalization=UNCHANGED, **options
        )
        return pipeline.from_tfds(
            "keras_mim_tiny_images", labels=labels, data_dir=self.data_dir
        )

    def test_images_and_labels(self):
        for augment in (True, False):
            dataset = self.read(augment=augment, seed=0)
            self.assertEqual(len(dataset), 3)
            images, labels = map(
                np.concatenate, zip(*dataset.as_numpy_iterator(), strict=True)
            )
            self.assertEqual(images.shape, (20, 8, 8, 3))
            self.assertEqual(labels.dtype, "int32")
            self.assertEqual(sorted(labels), list(range(20)))
            np.testing.assert_allclose(
                images[:, 4, 4, 1] * 255, 10 * labels, atol=1e-3
            )

    def test_images_alone(self):
        dataset = self.read(labels=False, drop_remainder=True)
        self.assertEqual(
            [batch.shape for batch in dataset.as_numpy_iterator()],
            [(8, 8, 8, 3)] * 2,
        )

    def test_the_seed_fixes_every_epoch_and_epochs_differ(self):
        def order(dataset):
            return [label for _, batch in dataset for label in batch.numpy()]

        dataset, again = self.read(seed=1), self.read(seed=1)
        first, second = order(dataset), order(dataset)
        self.assertEqual([first, second], [order(again), order(again)])
        self.assertNotEqual(first, second)
        self.assertNotEqual(first, order(self.read(seed=2)))
        later = self.read(seed=1, first_epoch=1)
        self.assertEqual(second, order(later))
        self.assertEqual(order(dataset), order(later))

    def test_a_resumed_run_reads_no_epoch_that_is_over(self):
        config = tfds.download.DownloadConfig(num_shards=5)
        builder = tfds.builder("keras_mim_tiny_images", data_dir=self.data_dir)
        builder.download_and_prepare(download_config=config)
        files = [
            pathlib.Path(f) for f in builder.info.splits["train"].filepaths
        ]
        self.assertEqual(len(files), 5)

        def orders(dataset, count):
            return [
                [label for _, batch in dataset for label in batch.numpy()]
                for _ in range(count)
            ]

        # With a buffer of 1, an order is that of the files alone.
        run = orders(self.read(seed=1, shuffle=1), 4)
        self.assertEqual(len(set(map(tuple, run))), 4)
        hidden = [file.rename(f"{file}.hidden") for file in files]
        # There is nothing to read yet, and nothing is read.
        resumed = self.read(seed=1, shuffle=1, first_epoch=2)
        with self.assertRaises(tf.errors.NotFoundError):
            orders(self.read(seed=1), 1)
        for file in hidden:
            file.rename(file.with_suffix(""))
        self.assertEqual(orders(resumed, 2), run[2:])
        self.assertNotEqual(run[0], orders(self.read(seed=2, shuffle=1), 1)[0])

    def test_a_folder_can_be_stored_as_records(self):
        # As the README has it.
        folder = pathlib.Path(self.data_dir, "photos")
        (folder / "train/a").mkdir(parents=True)
        files = {}
        for level in range(0, 200, 10):
            file = tf.io.encode_jpeg(np.full((8, 8, 3), level, "uint8"))
            files[level] = file.numpy()
            (folder / f"train/a/{level}.jpg").write_bytes(files[level])
        photos = tfds.ImageFolder(str(folder))
        as_they_are = {"image": tfds.decode.SkipDecoding()}
        train = photos.as_dataset("train", decoders=as_they_are)
        tfds.dataset_builders.store_as_tfds_dataset(
            "my_photos",
            "1.0.0",
            photos.info.features,
            {"train": train},
            data_dir=self.data_dir,
        )
        records = tfds.load(
            "my_photos",
            split="train",
            data_dir=self.data_dir,
            decoders=as_they_are,
        )
        stored = [r["image"] for r in records.as_numpy_iterator()]
        self.assertEqual(sorted(stored), sorted(files.values()))
        pipeline = ImagePipeline((8, 8, 3), 20, normalization=UNCHANGED)
        dataset = pipeline.from_tfds("my_photos", data_dir=self.data_dir)
        (images,) = dataset.as_numpy_iterator()
        levels = np.sort(images[:, 4, 4, 0] * 255)
        np.testing.assert_allclose(levels, sorted(files), atol=1)

    def test_dataset_without_images(self):
        pipeline = ImagePipeline((8, 8, 3), 8)
        with self.assertRaisesRegex(ValueError, '"image".*tiny_texts'):
            pipeline.from_tfds("keras_mim_tiny_texts", data_dir=self.data_dir)
        with self.assertRaisesRegex(ValueError, "whose images are float32"):
            pipeline.from_tfds("keras_mim_tiny_floats", data_dir=self.data_dir)

    def test_classes_are_told_by_their_names(self):
        pipeline = ImagePipeline((8, 8, 3), 3, augment=False)

        def read(**options):
            name, folder = "keras_mim_tiny_classes", self.data_dir
            return pipeline.from_tfds(
                name, labels=True, data_dir=folder, **options
            )

        dataset = read()
        own = [label for _, batch in dataset for label in batch.numpy()]
        self.assertEqual(dataset.class_names, ["ant", "bee", "cat"])
        names = ["dog", "cat", "ant", "bee"]
        dataset = read(class_names=names)
        self.assertEqual(dataset.class_names, names)
        labels = [label for _, batch in dataset for label in batch.numpy()]
        self.assertEqual(labels, [[2, 3, 1][i] for i in own])
        with self.assertRaisesRegex(ValueError, r"lacks \['cat'\]"):
            read(class_names=["ant", "bee"])
        with self.assertRaisesRegex(
            tf.errors.InvalidArgumentError, r"from 0 to 2 .*Wrong are:\] \[?-1"
        ):
            list(read(split="test"))

    def test_labels_that_are_missing(self):
        pipeline = ImagePipeline((8, 8, 3), 8)
        with self.assertRaisesRegex(ValueError, '"label" of type ClassLabel'):
            pipeline.from_tfds(
                "keras_mim_tiny_floats", labels=True, data_dir=self.data_dir
            )

    def test_unknown_dataset_and_split(self):
        pipeline = ImagePipeline((8, 8, 3), 8)
        with self.assertRaisesRegex(ValueError, "keras_mim_nothing"):
            pipeline.from_tfds("keras_mim_nothing", data_dir=self.data_dir)
        with self.assertRaisesRegex(ValueError, "tset"):
            pipeline.from_tfds(
                "keras_mim_tiny_images", "tset", data_dir=self.data_dir
            )

    def test_shards_share_the_records_out(self):
        seen = []
        for index in range(3):
            dataset = self.read(seed=0, shard=(index, 3))
            labels = np.concatenate([labels for _, labels in dataset])
            self.assertEqual(len(labels), 6)
            seen += list(labels)
        self.assertEqual(len(set(seen)), 18)
