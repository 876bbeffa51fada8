"""The data set that --data names, and its splits."""

import pathlib

import numpy as np
from absl import flags

BUNDLED = pathlib.Path(__file__).parents[1] / "data"
# What data sets call their splits; the first of these that is there is taken.
SPLITS = {
    "train": ("train",),
    "validation": ("validation", "val", "test"),
    "test": ("test", "validation", "val"),
}

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "data",
    "clothing64",
    "What to train on: 'clothing64' or 'photos' (both bundled), a folder of "
    "images (or of folders 'train' and 'val' of them), an .npz pack, or "
    "'tfds:<name>'.",
)


def is_pack():
    return FLAGS.data == "clothing64" or FLAGS.data.endswith(".npz")


def on_error():
    """Returns what a pipeline does with an image that cannot be read."""
    return "raise" if is_pack() else "skip"


def find_split(split):
    """Returns the data set's own name of a split, or None if it has none.

    A plain folder is all for training, and its name is "".
    """
    if FLAGS.data.startswith("tfds:"):
        builder = _tfds_builder()
        # Until then, not all data sets tell their splits.
        builder.download_and_prepare()
        there = builder.info.splits
    elif is_pack():
        with np.load(_pack_path()) as pack:
            there = [name.removesuffix("_offsets") for name in pack.files]
    else:
        there = [p.name for p in _folder_path().glob("*") if p.is_dir()]
        if "train" not in there:
            return "" if split == "train" else None
    return next((name for name in SPLITS[split] if name in there), None)


def make_dataset(pipeline, split, labels=False):
    """Returns batches of a split, or None where there is no such split."""
    name = find_split(split)
    if name is None:
        return None
    if FLAGS.data.startswith("tfds:"):
        return pipeline.from_tfds(_tfds_name(), name, labels)
    if is_pack():
        return pipeline.from_pack(_pack_path(), name, labels)
    return pipeline.from_folder(_folder_path() / name, labels)


def find_classes():
    """Returns the names of the classes of the data set."""
    if FLAGS.data.startswith("tfds:"):
        return _tfds_builder().info.features["label"].names
    if is_pack():
        with np.load(_pack_path()) as pack:
            return pack["classes"].tolist()
    folder = _folder_path() / find_split("train")
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and path.name[0] != "."
    )


def _tfds_name():
    return FLAGS.data.removeprefix("tfds:")


def _tfds_builder():
    import tensorflow_datasets as tfds

    return tfds.builder(_tfds_name())


def _pack_path():
    return (
        BUNDLED / "clothing64.npz" if FLAGS.data == "clothing64" else FLAGS.data
    )


def _folder_path():
    return (
        BUNDLED / "photos"
        if FLAGS.data == "photos"
        else pathlib.Path(FLAGS.data)
    )
