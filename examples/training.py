"""What a training run is, for every example that trains.

Flags of data and training, the splits of a data set, the learning rate's
schedule, and the folder that a run writes to and can be resumed from.
"""

import csv
import json
import logging
import pathlib
import platform
import shutil
import sys

import keras
import numpy as np
from absl import app
from absl import flags
from absl import logging as absl_logging

import keras_mim

BUNDLED = pathlib.Path(__file__).parent / "data"
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
flags.DEFINE_string(
    "output_dir", None, "Folder for the results; None: runs/<what is done>."
)
flags.DEFINE_boolean(
    "resume", False, "Go on with the interrupted run in --output_dir."
)
flags.DEFINE_integer("epochs", 20, "Passes over the images.")
flags.DEFINE_integer(
    "batch_size", 64, "Images per step, of all devices together."
)
flags.DEFINE_float(
    "base_learning_rate",
    None,
    "Peak learning rate per 256 images of a batch (the papers' linear scaling "
    "rule). MAE's 1.5e-4 is for 800 epochs of ImageNet; short runs want more.",
)
flags.DEFINE_enum(
    "schedule",
    "cosine",
    ["cosine", "cosine_from_start", "step"],
    "After the warm-up: a cosine to the last epoch; one that counts the "
    "warm-up epochs (SimMIM's); or a tenth from --step_epoch on.",
)
flags.DEFINE_float("step_epoch", None, "Of --schedule=step; SimMIM's: 700.")
flags.DEFINE_float("warmup_epochs", 2, "Epochs of linear warm-up.")
flags.DEFINE_float(
    "warmup_learning_rate", 0.0, "Where it starts; scaled as the peak is."
)
flags.DEFINE_float(
    "min_learning_rate", 0.0, "Where the cosine ends; scaled as the peak is."
)
flags.DEFINE_float("weight_decay", 0.05, "AdamW's weight decay.")
flags.DEFINE_float(
    "clip_norm", None, "Largest norm of all gradients together; SimMIM's: 5."
)
flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "Precision of the arithmetic; weights stay float32.",
)
flags.DEFINE_boolean(
    "jit_compile", None, "Compile with XLA; None: as Keras decides."
)
flags.DEFINE_integer("seed", 0, "Seed of weights, masks and augmentation.")


def is_pack(data):
    return data == "clothing64" or data.endswith(".npz")


def pack_path(data):
    return BUNDLED / "clothing64.npz" if data == "clothing64" else data


def folder_path(data):
    return BUNDLED / data if data == "photos" else pathlib.Path(data)


def find_split(data, split):
    """Returns the data set's own name of a split, or None if it has none.

    A plain folder is all for training, and its name is "".
    """
    if data.startswith("tfds:"):
        import tensorflow_datasets as tfds

        builder = tfds.builder(data.removeprefix("tfds:"))
        # Until then, not all data sets tell their splits.
        builder.download_and_prepare()
        there = builder.info.splits
    elif is_pack(data):
        with np.load(pack_path(data)) as pack:
            there = [name.removesuffix("_offsets") for name in pack.files]
    else:
        there = [p.name for p in folder_path(data).glob("*") if p.is_dir()]
        if "train" not in there:
            return "" if split == "train" else None
    return next((name for name in SPLITS[split] if name in there), None)


def make_dataset(pipeline, data, split, labels=False):
    """Returns batches of a split, or None where there is no such split."""
    name = find_split(data, split)
    if name is None:
        return None
    if data.startswith("tfds:"):
        return pipeline.from_tfds(data.removeprefix("tfds:"), name, labels)
    if is_pack(data):
        return pipeline.from_pack(pack_path(data), name, labels)
    return pipeline.from_folder(folder_path(data) / name, labels)


def make_train(pipeline, labels=False):
    """Returns the batches to train on, of which there must be one."""
    train = make_dataset(pipeline, FLAGS.data, "train", labels)
    if not len(train):
        raise app.UsageError(
            f"--batch_size={FLAGS.batch_size} is more than there are images."
        )
    return train


def find_classes(data):
    """Returns the names of the classes of a data set."""
    if data.startswith("tfds:"):
        import tensorflow_datasets as tfds

        builder = tfds.builder(data.removeprefix("tfds:"))
        return builder.info.features["label"].names
    if is_pack(data):
        with np.load(pack_path(data)) as pack:
            return pack["classes"].tolist()
    folder = folder_path(data) / find_split(data, "train")
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and path.name[0] != "."
    )


def make_schedule(steps_per_epoch):
    """Returns the learning rate by step, scaled to the batch."""
    scale = FLAGS.batch_size / 256
    peak = FLAGS.base_learning_rate * scale
    steps = FLAGS.epochs * steps_per_epoch
    warmup_steps = int(FLAGS.warmup_epochs * steps_per_epoch)
    start = FLAGS.warmup_learning_rate * scale
    alpha = FLAGS.min_learning_rate / FLAGS.base_learning_rate
    schedules = keras.optimizers.schedules
    if FLAGS.schedule == "cosine":
        return schedules.CosineDecay(
            start,
            max(steps - warmup_steps, 1),
            alpha,
            warmup_target=peak,
            warmup_steps=max(warmup_steps, 1),
        )
    if FLAGS.schedule == "cosine_from_start":
        after = schedules.CosineDecay(peak, steps, alpha)
    else:
        # The rate of a step is decided before it; Keras's boundaries belong
        # to what was before.
        boundary = int(FLAGS.step_epoch * steps_per_epoch) - 1
        after = schedules.PiecewiseConstantDecay([boundary], [peak, peak / 10])
    return keras_mim.optimizers.WarmUp(after, warmup_steps, start)


def open_run(name, chief=True):
    """Makes the run folder; returns it and the number of finished epochs.

    The `chief` writes in it, where several processes train together.
    """
    # TensorFlow tells of every file it writes.
    absl_logging.set_verbosity(absl_logging.WARNING)
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    folder = pathlib.Path(FLAGS.output_dir or f"runs/{name}")
    chosen = {
        flag.name: flag.value
        for flag in FLAGS.get_key_flags_for_module(sys.argv[0])
        if flag.name not in ("output_dir", "resume")
    }
    config_path = folder / "config.json"
    if not chief:
        return folder, finished_epochs(folder) if FLAGS.resume else 0
    if FLAGS.resume:
        if not config_path.exists():
            raise app.UsageError(f"--resume: there is no run in {folder}")
        before = json.loads(config_path.read_text())["flags"]
        changed = {k: v for k, v in chosen.items() if before.get(k) != v}
        if changed:
            raise app.UsageError(
                f"--resume: the run in {folder} had other flags; "
                f"different now: {changed}"
            )
        finished = finished_epochs(folder)
        forget_unfinished(folder, finished)
        return folder, finished
    if config_path.exists():
        raise app.UsageError(
            f"There is a run in {folder} already. Pass another --output_dir, "
            "or --resume to go on with it if it was interrupted."
        )
    folder.mkdir(parents=True, exist_ok=True)
    versions = {
        "keras_mim": keras_mim.__version__,
        "keras": keras.version(),
        "backend": keras.backend.backend(),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    write_json(config_path, {"flags": chosen, "versions": versions})
    return folder, 0


def finished_epochs(folder):
    """Returns how many epochs are backed up."""
    backup_path = folder / "backup/training_metadata.json"
    if not backup_path.exists():
        return 0
    return json.loads(backup_path.read_text())["epoch"]


def forget_unfinished(folder, finished):
    """Takes what is not backed up out of the history."""
    history_path = folder / "history.csv"
    if history_path.exists():
        # The row is written before the backup, which an interruption can spare.
        lines = history_path.read_text().splitlines(keepends=True)
        history_path.write_text("".join(lines[: 1 + finished]))


def make_callbacks(folder, backup=keras.callbacks.BackupAndRestore):
    """Returns what makes a run one that can be resumed and read."""
    return [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.CSVLogger(folder / "history.csv", append=FLAGS.resume),
        # Kept until all is written: `close_run`.
        backup(folder / "backup", delete_checkpoint=False),
    ]


def close_run(folder):
    """Removes what a run is resumed from."""
    shutil.rmtree(folder / "backup", ignore_errors=True)


def write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n")


def write_curve(history_path, path, metric, label):
    """Draws a metric by epoch, of training and validation."""
    from matplotlib.figure import Figure

    with open(history_path) as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(6, 4), dpi=120)
    axes = figure.subplots()
    epochs = [int(row["epoch"]) + 1 for row in rows]
    for name, legend in (
        (metric, "training"),
        (f"val_{metric}", "validation"),
    ):
        if rows[0].get(name, "NA") != "NA":
            values = [float(row[name]) for row in rows]
            axes.plot(epochs, values, label=legend)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.legend()
    figure.savefig(path, bbox_inches="tight")
