import unittest

import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.data import ColorJitter
from keras_mim.data import FineTuneAugmentation
from keras_mim.data import ImagePipeline
from keras_mim.data import read_pack

NAN = float("nan")
INF = float("inf")
GRAY = Normalization((0.5,), (0.5,))
PAIR = (None, "a", 0.5, (0.5,), (0.5, 0.6, 0.7), (0.6, 0.5), (0, 1), (-1, 1))
PAIR += ((NAN, 1), (0.5, NAN), ("a", "b"), (None, 1), (0.5, INF), (True, True))
COUNT = (None, "a", -1, 2.5, NAN, True, (1,))
FLAG = (None, "a", -1, 0, 1.0, NAN, (True,))
SHARE = (None, "a", -0.1, 1.1, NAN, True, (0.5,))
SEED = ("a", 0.5, NAN, True, (1, 2), 2**63)
NORMALIZATION = ("a", 0.5, NAN, (0.5, 0.5), GRAY)
PATH = (None, 5, -1, NAN, ("a",), "nowhere")
SHAPE = (None, "a", 224, (224, 224), (224, 0, 3), (224, 224.0, 3))
SHAPE += ((8, -8, 3), (8, NAN, 3), (8, 8, "a"), (True, 8, 3), (8, 8, 3, 3))
SHARD = (None, "a", 1, (2, 2), (-1, 2), (0, 1, 2), (0.0, 2), (0, NAN))

WRONG = {
    ImagePipeline: {
        "image_shape": SHAPE,
        "batch_size": (0, *COUNT),
        "augment": FLAG,
        "scale": ((0.2, 1.1), *PAIR),
        "ratio": PAIR,
        "flip": FLAG,
        "crop_ratio": (0, *SHARE),
        "normalization": NORMALIZATION,
        "shuffle": (0, *COUNT[1:]),
        "seed": SEED,
        "on_error": (None, "ignore", 1, ("skip",)),
        "drop_remainder": FLAG,
        "interpolation": (None, "nearest", 1, ["bicubic"]),
        "crop": (None, "none", 1, ("center",)),
        "first_epoch": COUNT,
        "shard": SHARD,
        "dtype": (None, "float16", 1, np.uint8),
    },
    ColorJitter: {
        "strength": SHARE,
        "normalization": NORMALIZATION,
        "seed": SEED,
    },
    FineTuneAugmentation: {
        "num_classes": (0, *COUNT),
        "rand_augment": FLAG,
        "erase_rate": SHARE,
        "mixup_alpha": (None, "a", -0.1, NAN, INF, (0.5,)),
        "cutmix_alpha": SHARE,
        "label_smoothing": SHARE,
        "normalization": NORMALIZATION,
        "seed": SEED,
        "first_epoch": COUNT,
    },
    read_pack: {"path": (__file__, *PATH)},
    ImagePipeline((8, 8, 3), 2).from_folder: {"path": PATH, "labels": FLAG},
    ImagePipeline((8, 8, 3), 2).from_pack: {"path": PATH, "labels": FLAG},
    ImagePipeline((8, 8, 3), 2).from_tfds: {
        "name": (None, 5, ("a",), "keras_mim_nothing"),
        "split": (None, 5, ("train",)),
        "labels": FLAG,
        "data_dir": (5, NAN, ("a",)),
    },
}
RIGHT = {
    "image_shape": (8, 8, 3),
    "batch_size": 2,
    "num_classes": 4,
    "path": "nowhere",
    "name": "keras_mim_nothing",
}
NEEDED = {
    ImagePipeline: ("image_shape", "batch_size"),
    FineTuneAugmentation: ("num_classes",),
}


class ArgumentsTest(unittest.TestCase):
    def test_wrong_arguments(self):
        pytest.importorskip("tensorflow_datasets")
        for function, arguments in WRONG.items():
            needed = NEEDED.get(function, ("path", "name"))
            needed = set(needed) & {*arguments, *NEEDED.get(function, ())}
            for name, values in arguments.items():
                for value in values:
                    given = {key: RIGHT[key] for key in needed}
                    given[name] = value
                    with (
                        self.subTest(function.__name__, **{name: value}),
                        self.assertRaisesRegex(
                            ValueError, f"Received: {name}="
                        ),
                    ):
                        function(**given)

    def test_wrong_class_names(self):
        pipeline = ImagePipeline((8, 8, 3), 2)
        for source in (
            pipeline.from_folder,
            pipeline.from_pack,
            pipeline.from_tfds,
        ):
            for names in ("cat", (), ("a", "a"), (1, 2), 5):
                with self.assertRaisesRegex(ValueError, "each another"):
                    source("nowhere", labels=True, class_names=names)
            with self.assertRaisesRegex(ValueError, "unless `labels=True`"):
                source("nowhere", class_names=["a"])

    def test_numpy_numbers_are_numbers(self):
        pipeline = ImagePipeline(
            tuple(np.array((8, 8, 3))),
            np.int64(2),
            scale=tuple(np.float32((0.5, 1))),
            crop_ratio=np.float32(0.5),
            seed=np.int32(1),
        )
        self.assertEqual(pipeline.image_shape, (8, 8, 3))

    def test_files_have_one_or_three_channels(self):
        pipeline = ImagePipeline((8, 8, 4), 2)
        for source in (
            pipeline.from_folder,
            pipeline.from_pack,
            pipeline.from_tfds,
        ):
            with self.assertRaisesRegex(ValueError, "1 or 3 channels"):
                source("nowhere")

    def test_shares_without_an_image(self):
        pytest.importorskip("tensorflow")
        pipeline = ImagePipeline((8, 8, 3), 2, shard=(0, 5))
        with self.assertRaisesRegex(ValueError, "of 4. Received: shard="):
            pipeline.from_arrays(np.zeros((4, 8, 8, 3), "uint8"))

    def test_batches_that_are_not_normalized_pairs(self):
        tf = pytest.importorskip("tensorflow")
        pytest.importorskip("keras_cv")
        images = np.zeros((4, 8, 8, 3), "uint8")
        floats = ImagePipeline((8, 8, 3), 2).from_arrays(images)
        pixels = ImagePipeline((8, 8, 3), 2, dtype="uint8")
        labels = np.zeros(4, "int32")
        augmentation = FineTuneAugmentation(4)
        with self.assertRaisesRegex(ValueError, "labels=True"):
            floats.apply(augmentation)
        with self.assertRaisesRegex(ValueError, "Received: uint8"):
            pixels.from_arrays(images, labels).apply(augmentation)
        with self.assertRaisesRegex(ValueError, "Received: uint8"):
            pixels.from_arrays(images).map(ColorJitter())
        gray = tf.data.Dataset.from_tensors(np.zeros((2, 8, 8, 1), "float32"))
        with self.assertRaisesRegex(ValueError, "of 3 channels"):
            gray.map(ColorJitter())
        with self.assertRaisesRegex(ValueError, "of 3 channels"):
            gray.map(lambda x: (x, [0, 1])).apply(augmentation)
