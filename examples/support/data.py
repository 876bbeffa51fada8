"""The data set that --data names, its splits and its classes."""

import os
import pathlib

import numpy as np
from absl import app
from absl import flags

import keras_mim
from support import checks

BUNDLED = pathlib.Path(__file__).parents[1] / "data"
# Folders of these names tell that the folders above them are no classes.
INNER_SPLITS = ("train", "Train", "TRAIN", "training", "Training", "TRAINING")

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "data",
    "clothing64",
    "What to train on: 'clothing64' or 'photos' (both bundled), a folder of "
    "images (or of folders such as 'train' and 'val' of them), an .npz pack, "
    "or 'tfds:<name>'.",
)
flags.DEFINE_string(
    "train_split",
    None,
    "The folder or split of --data to train on; '.': the whole folder. None: "
    "'train' or 'training', in any case, or a folder without splits itself.",
)
flags.DEFINE_string(
    "validation_split",
    None,
    "Likewise to watch and to choose by; '': none. None: 'validation', "
    "'valid', 'val' or 'dev', if there.",
)
flags.DEFINE_string(
    "test_split",
    None,
    "Likewise to judge on; '': none. None: 'test' or 'testing', if there.",
)


def is_pack():
    return FLAGS.data == "clothing64" or FLAGS.data.endswith(".npz")


def on_error():
    """Returns what a pipeline does with an image that cannot be read."""
    return "raise" if is_pack() else "skip"


def find_splits():
    """Returns the data set's own names of its splits.

    Returns:
        dict of "train", "validation" and "test" to str, or to None where there
        is no such split. A plain folder is all for training, and its name is
        ".".
    """
    is_folder = False
    if FLAGS.data.startswith("tfds:"):
        builder = _tfds_builder()
        # Until then, not all data sets tell their splits.
        builder.download_and_prepare()
        there = list(builder.info.splits)
    elif is_pack():
        checks.check_file(_pack_path(), "--data")
        with np.load(_pack_path()) as pack:
            ending = "_offsets"
            there = [n for n in pack.files if n.endswith(ending)]
            there = [name.removesuffix(ending) for name in there]
    else:
        is_folder = True
        there = _folders_in(_folder_path())
    try:
        splits = keras_mim.data.find_splits(
            there,
            is_folder,
            train=FLAGS.train_split,
            validation=FLAGS.validation_split,
            test=FLAGS.test_split,
        )
    except ValueError as error:
        raise app.UsageError(
            f"--data={FLAGS.data}: {error}. Say which is which: "
            "--train_split=..., --validation_split=..., --test_split=... "
            "('' is none"
            + (", --train_split=. the whole folder)" if is_folder else ")")
        ) from error
    if is_folder:
        _check_folders(splits, there)
    elif is_pack() and not {*splits.values(), None} <= {*there, None}:
        raise app.UsageError(
            f"--data={FLAGS.data} holds the splits {there}, not all of those "
            f"that were named: {splits}"
        )
    return splits


def tell_splits(splits, *uses):
    """Prints what is done with the splits, beside training."""
    uses = [f"trains on {splits['train']}", *uses]
    print(f"--data={FLAGS.data}: {', '.join(uses)}.")


def make_dataset(pipeline, split, labels=False, class_names=None):
    """Returns batches of a split, or None where there is no such split.

    Args:
        pipeline: `ImagePipeline`.
        split: str. "train", "validation" or "test".
        labels: bool. Whether to give labels too.
        class_names: list of str. The classes that the labels number; None:
            the split's own.
    """
    name = find_splits()[split]
    if name is None:
        return None
    options = {"labels": labels, "class_names": class_names}
    if FLAGS.data.startswith("tfds:"):
        return pipeline.from_tfds(_tfds_name(), name, **options)
    if is_pack():
        return pipeline.from_pack(_pack_path(), name, **options)
    return pipeline.from_folder(_folder_path() / name, **options)


def _check_folders(splits, there):
    """Ends the program where folders are missing, or hold splits themselves."""
    folder = _folder_path()
    for split, name in splits.items():
        if name is not None and not (folder / name).is_dir():
            raise app.UsageError(
                f"--{split}_split: there is no {folder / name}"
            )
    if splits["train"] != "." or FLAGS.train_split is not None:
        return
    for name in there:
        for inner in INNER_SPLITS:
            if (folder / name / inner).is_dir():
                raise app.UsageError(
                    f"--data={FLAGS.data} has splits further down, such as "
                    f"{folder / name / inner}. Name one folder of splits, or "
                    "take all with --train_split=."
                )


def _folders_in(folder):
    if not folder.is_dir():
        raise app.UsageError(f"--data: there is no folder {folder}")
    return [p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != "."]


def _tfds_name():
    return FLAGS.data.removeprefix("tfds:")


def _tfds_builder():
    import tensorflow_datasets as tfds

    return tfds.builder(_tfds_name())


def _pack_path():
    if FLAGS.data == "clothing64":
        return BUNDLED / "clothing64.npz"
    return os.path.expanduser(FLAGS.data)


def _folder_path():
    if FLAGS.data == "photos":
        return BUNDLED / "photos"
    return pathlib.Path(FLAGS.data).expanduser()
