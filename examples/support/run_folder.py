"""The folder that a run writes to and can be resumed from."""

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

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "output_dir", None, "Folder for the results; None: runs/<what is done>."
)
flags.DEFINE_boolean(
    "resume", False, "Go on with the interrupted run in --output_dir."
)


def open_run(name, is_chief=True):
    """Makes the run folder; returns it and the number of finished epochs.

    Where several processes train together, the chief writes in it.
    """
    # TensorFlow tells of every file it writes.
    absl_logging.set_verbosity(absl_logging.WARNING)
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    folder = pathlib.Path(FLAGS.output_dir or f"runs/{name}")
    finished = _finished_epochs(folder) if FLAGS.resume else 0
    if not is_chief:
        return folder, finished
    chosen = {
        flag.name: flag.value
        for flag in FLAGS.get_key_flags_for_module(sys.argv[0])
        if flag.name not in ("output_dir", "resume")
    }
    config_path = folder / "config.json"
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
        _forget_unfinished(folder, finished)
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


def keep_classes(folder, class_names):
    """Stores the names of the classes, or compares them with those stored."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    before = config.setdefault("class_names", class_names)
    if before != class_names:
        raise app.UsageError(
            f"--resume: the run in {folder} had other classes, {before}. The "
            f"training split now holds {class_names}"
        )
    write_json(path, config)


def _finished_epochs(folder):
    """Returns how many epochs are backed up."""
    backup_path = folder / "backup/training_metadata.json"
    if not backup_path.exists():
        return 0
    return json.loads(backup_path.read_text())["epoch"]


def _forget_unfinished(folder, finished):
    """Takes what is not backed up out of the history."""
    history_path = folder / "history.csv"
    if history_path.exists():
        # The row is written before the backup, which an interruption can spare.
        lines = history_path.read_text().splitlines(keepends=True)
        history_path.write_text("".join(lines[: 1 + finished]))


def make_callbacks(folder, placement=None):
    """Returns the callbacks that let a run be resumed and read."""
    placement = placement or keras_mim.distribution.start(None)
    history = keras.callbacks.CSVLogger(
        folder / "history.csv", append=FLAGS.resume
    )
    stop = keras.callbacks.TerminateOnNaN()
    # A few batches later is soon enough. Else Keras waits for the loss of each
    # batch, and a GPU for Keras.
    stop.async_safe = True
    return [
        stop,
        placement.chief_only(history),
        # Kept until all is written: `close_run`.
        placement.backup(folder / "backup", delete_checkpoint=False),
    ]


def close_run(folder):
    """Removes what a run is resumed from."""
    shutil.rmtree(folder / "backup", ignore_errors=True)


def write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n")


def write_curve(folder, name, metric, label):
    """Draws a metric by epoch, of training and validation."""
    from matplotlib.figure import Figure

    with open(folder / "history.csv") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(6, 4), dpi=120)
    axes = figure.subplots()
    epochs = [int(row["epoch"]) + 1 for row in rows]
    for column, legend in (
        (metric, "training"),
        (f"val_{metric}", "validation"),
    ):
        if rows[0].get(column, "NA") != "NA":
            values = [float(row[column]) for row in rows]
            axes.plot(epochs, values, label=legend)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel(label)
    axes.legend()
    figure.savefig(folder / name, bbox_inches="tight")
