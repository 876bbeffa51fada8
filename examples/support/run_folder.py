"""The folder that a run writes to and can be resumed from."""

import csv
import json
import logging
import pathlib
import platform
import sys

import keras
import numpy as np
from absl import app
from absl import flags
from absl import logging as absl_logging

import keras_mim
from keras_mim._files import remove
from keras_mim._files import whole

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "output_dir", None, "Folder for the results; None: runs/<what is done>."
)
flags.DEFINE_boolean(
    "resume",
    False,
    "Go on with the interrupted run in --output_dir, or train a finished one "
    "for more --epochs.",
)
flags.DEFINE_integer(
    "skip_bad_batches",
    0,
    "How many steps to undo whose loss or weights are not finite, before one "
    "ends the run. Slower, and in one process only.",
)


def open_run(name, placement=None):
    """Opens the folder of a run, a new one or one to go on with.

    Nothing is written before the first step: a start that fails leaves nothing
    that is in the way of the next one.

    Args:
        name: str. What is done, for the folder's name.
        placement: `keras_mim.distribution.Placement`. Where several processes
            train together, the chief writes in the folder.

    Returns:
        `Run`.
    """
    # TensorFlow tells of every file it writes.
    absl_logging.set_verbosity(absl_logging.WARNING)
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    folder = pathlib.Path(FLAGS.output_dir or f"runs/{name}")
    placement = placement or keras_mim.distribution.start(None)
    if FLAGS.skip_bad_batches and placement.count > 1:
        raise app.UsageError("--skip_bad_batches is for one process.")
    run = Run(folder, placement)
    if FLAGS.resume:
        run.resume()
    elif run.config_path.exists():
        raise app.UsageError(
            f"There is a run in {folder} already. Pass another --output_dir, "
            "or --resume to go on with it if it was interrupted, or --resume "
            "and more --epochs if it is finished."
        )
    return run


class Run:
    """The folder that a run writes to, and what it is resumed from.

    Args:
        folder: `pathlib.Path`.
        placement: `keras_mim.distribution.Placement`.
    """

    def __init__(self, folder, placement):
        self.folder = folder
        self.placement = placement
        self.config_path = folder / "config.json"
        # Kept when training ends: what follows may be interrupted, too.
        self.backup = placement.backup(
            folder / "backup", delete_checkpoint=False
        )
        self.finished_epochs = 0
        self.before = {}
        self.config = {
            "flags": {
                flag.name: flag.value
                for flag in FLAGS.get_key_flags_for_module(sys.argv[0])
                if flag.name not in ("output_dir", "resume")
            },
            "versions": {
                "keras_mim": keras_mim.__version__,
                "keras": keras.version(),
                "backend": keras.backend.backend(),
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }

    def resume(self):
        """Finds out where to go on, and whether that can be."""
        folder = self.folder
        if not self.config_path.exists():
            if not folder.is_dir():
                raise app.UsageError(f"--resume: there is no run in {folder}")
            self._tell(f"--resume: no run in {folder} has begun: begins one.")
            return
        try:
            self.before = json.loads(self.config_path.read_text())
            flags, versions = self.before["flags"], self.before["versions"]
        except (ValueError, KeyError) as error:
            raise app.UsageError(
                f"--resume: {self.config_path} is damaged ({error!r}). Without "
                "the flags it had, a run cannot be resumed."
            ) from error
        self._check_flags(flags)
        backend = keras.backend.backend()
        if versions["backend"] != backend:
            raise app.UsageError(
                f"--resume: the run in {folder} is of KERAS_BACKEND="
                f"{versions['backend']}; now it is {backend}, whose random "
                "numbers are others"
            )
        epochs = self.config["flags"].get("epochs")
        if self.before.get("finished") and epochs == flags.get("epochs"):
            self._tell(
                f"The run in {folder} is finished, and stays as it is. To "
                f"train on, pass more than --epochs={epochs}."
            )
            sys.exit()
        try:
            self.finished_epochs = self.backup.finished_epochs
        except ValueError as error:
            raise app.UsageError(f"--resume: {error}") from error
        if not self.finished_epochs and (folder / "history.csv").exists():
            raise app.UsageError(
                f"--resume: {folder}/history.csv tells of finished epochs, but "
                f"{folder}/backup has none to go on from"
            )
        if epochs is not None and self.finished_epochs > epochs:
            raise app.UsageError(
                f"--resume: the run in {folder} has finished "
                f"{self.finished_epochs} epochs, more than --epochs={epochs}"
            )
        self._tell(
            f"Resumes the run in {folder}, with {self.finished_epochs} "
            "finished epochs."
        )

    def _tell(self, text):
        if self.placement.is_chief:
            print(text)

    def _check_flags(self, before):
        """Ends the program where the flags are others, but for more epochs."""
        chosen = dict(self.config["flags"])
        changed = {k: v for k, v in chosen.items() if before.get(k) != v}
        if chosen.get("epochs", 0) > before.get("epochs", 0):
            del changed["epochs"]
        if changed:
            raise app.UsageError(
                f"--resume: the run in {self.folder} had other flags; "
                f"different now: {changed}. (Only --epochs may be more.)"
            )

    def keep_classes(self, class_names):
        """Stores the names of the classes, or compares them with the stored."""
        before = self.before.get("class_names", class_names)
        if before != class_names:
            raise app.UsageError(
                f"--resume: the run in {self.folder} had other classes, "
                f"{before}. The training split now holds {class_names}"
            )
        self.config["class_names"] = class_names

    def make_callbacks(self, *others):
        """Returns the callbacks that let a run be resumed and read.

        Args:
            *others: Callbacks that write something about an epoch. They come
                before the backup: an epoch that is backed up has everything.
        """
        return [
            keras_mim.callbacks.FiniteCheck(FLAGS.skip_bad_batches),
            *others,
            self.backup,
            Records(self),
        ]

    def begin(self):
        """Writes how the run was called, when its first step has run."""
        if self.placement.is_chief:
            write_json(self.config_path, self.config)

    def close(self):
        """Writes that all is written, and removes what is not needed then."""
        # First of all: a run that is killed here is not trained once more.
        write_json(self.config_path, {**self.config, "finished": True})
        for path in self.backup.paths[1:]:
            path.unlink()
        # What a process was killed at.
        for path in list(self.folder.glob("**/.*partial-*")):
            remove(path)


class Records(keras.callbacks.Callback):
    """Writes how a run was called, once it has begun, and its history.

    The history holds the logs of all epochs that are backed up, those before
    the run was resumed too.
    """

    async_safe = True

    def __init__(self, run):
        super().__init__()
        self.run = run
        self.begun = False

    def on_train_begin(self, logs=None):
        self.write_history()

    def on_train_batch_end(self, batch, logs=None):
        if not self.begun:
            self.begun = True
            self.run.begin()

    def on_epoch_end(self, epoch, logs=None):
        self.write_history()

    def write_history(self):
        rows = self.run.backup.history
        if not rows or not self.run.placement.is_chief:
            return
        names = sorted({name for row in rows for name in row} - {"epoch"})
        with (
            whole(self.run.folder / "history.csv") as path,
            open(path, "w", newline="") as file,
        ):
            writer = csv.DictWriter(file, ["epoch", *names], restval="NA")
            writer.writeheader()
            writer.writerows(rows)


def write_json(path, content):
    with whole(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


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
    save_figure(figure, folder / name, bbox_inches="tight")


def save_figure(figure, path, **options):
    with whole(path) as partial:
        figure.savefig(partial, **options)


def save_model(model, path):
    with whole(path) as partial:
        model.save(partial)
