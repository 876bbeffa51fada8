import contextlib
import pathlib
import warnings

import keras
import numpy as np

from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim._checks import check_path
from keras_mim.callbacks._backup_files import METRICS
from keras_mim.callbacks._backup_files import find_backups
from keras_mim.callbacks._backup_files import find_whole
from keras_mim.callbacks._backup_files import named_values
from keras_mim.callbacks._backup_files import read_group
from keras_mim.callbacks._backup_files import remove_backups
from keras_mim.callbacks._backup_files import write_backup
from keras_mim.callbacks._repeated_steps import RepeatedSteps
from keras_mim.callbacks._signals import Signals
from keras_mim.callbacks._sync_state import sync_state


class Backup(keras.callbacks.Callback):
    """Backs a training up, so that it can be resumed whatever ends it.

    Used as `keras.callbacks.BackupAndRestore`: after each epoch it writes a
    backup, and `fit` goes on from the last one, in a new process too. But a
    backup is one file, which appears as a whole or not at all: a process that
    is killed while it writes, or a full disk, leaves the last one as it was.
    The last two are kept. A damaged one is set aside with a warning, and the
    one before is used.

    A backup holds all variables of the model (also those that random numbers
    are drawn from, which Keras's files leave out), of the optimizer and, inside
    of an epoch, of the metrics; the number of the epoch and of the step; and
    the logs of all epochs.

    SIGTERM and Ctrl-C let the step that is running end, write a backup, and
    then end the process, by `SystemExit(143)` and `KeyboardInterrupt`. A
    resumed epoch takes the batches that were trained on off the data and goes
    on with the next one: exactly, if an epoch's data follows from its number,
    as that of `ImagePipeline(seed=0, first_epoch=backup.finished_epochs)`.
    Arrays that `fit` shuffles come in another order.

    Put it behind callbacks that write something about an epoch: what they have
    not written when the process is killed is then done again.

    Args:
        backup_dir: str or path. Folder on a local or shared disk, for the
            backups of one training alone.
        save_freq: `"epoch"`, or int to also back up after every so many steps.
            Defaults to `"epoch"`.
        delete_checkpoint: bool. Whether the backups are removed when training
            ends. Pass `False` if the process may be killed between `fit` and
            the saving of what was trained. Defaults to `True`.

    Attributes:
        history: list of dict. The logs of the epochs, resumed ones included.

    Raises:
        ValueError: When training begins, if what is there cannot be resumed:
            another backend, other shapes, no backup that is whole, or more
            epochs than asked for.
        FloatingPointError: If a weight is not finite. Nothing is written then.
        OSError: If a backup cannot be written.

    Example:

    >>> backup = keras_mim.callbacks.Backup("backup", delete_checkpoint=False)
    >>> pipeline = keras_mim.data.ImagePipeline(
    ...     (224, 224, 3), 256, seed=0, first_epoch=backup.finished_epochs
    ... )
    >>> mae.fit(pipeline.from_folder("photos"), epochs=20, callbacks=[backup])
    """

    # Nothing is done at a batch's end: Keras need not wait for the batch.
    async_safe = True
    # Whether one process sees all of a step; several stop at different ones.
    backs_up_inside_epochs = True

    def __init__(self, backup_dir, save_freq="epoch", delete_checkpoint=True):
        super().__init__()
        check_path(backup_dir=backup_dir)
        if save_freq != "epoch":
            check_counts(save_freq=save_freq)
        check_flags(delete_checkpoint=delete_checkpoint)
        self.backup_dir = pathlib.Path(backup_dir)
        self.save_freq = save_freq
        self.delete_checkpoint = delete_checkpoint
        self.history = []
        self._signals = Signals()
        self._epoch = 0
        # Of this epoch: calls of the training step, and when they are saved.
        self._step = self._saved_step = 0
        # The metrics of all of its steps, while it is validated.
        self._metrics = None
        self._found = self._repeated = None

    @property
    def finished_epochs(self):
        """int: how many epochs are backed up, for `first_epoch` of the data."""
        found = self._find()
        return found[1]["epoch"] if found else 0

    @property
    def paths(self):
        """list of `pathlib.Path`: the backups, the newest first."""
        return find_backups(self.backup_dir)

    def on_train_begin(self, logs=None):
        if self._repeated is not None:  # An error came while it repeated.
            self._repeated.end()
        self.history, self._epoch, self._saved_step = [], 0, 0
        self._found = self._find()
        if self._found:
            self._restore(*self._found)
        self._signals.listen()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._step, self._metrics = epoch, 0, None
        if not self._saved_step:
            return
        self._restore_metrics()
        self._repeated = RepeatedSteps(
            self.model, self._saved_step, self._build_metrics
        )

    def on_train_batch_begin(self, batch, logs=None):
        self._consider_backup()
        self._step += 1

    def on_test_begin(self, logs=None):
        if not self.backs_up_inside_epochs:
            return
        # Evaluation begins them anew.
        sync_state(self.model)
        values = named_values(self.model.metrics_variables)
        # Copies: on JAX an array may be in memory that steps are given.
        self._metrics = [(name, np.array(value)) for name, value in values]
        self._consider_backup()

    def on_test_batch_begin(self, batch, logs=None):
        self._consider_backup()

    def on_epoch_end(self, epoch, logs=None):
        logs = {k: np.asarray(v).tolist() for k, v in (logs or {}).items()}
        self.history.append({"epoch": epoch, **logs})
        self._epoch, self._step, self._saved_step = epoch + 1, 0, 0
        self._write()
        self._end_if_asked()

    def on_train_end(self, logs=None):
        self._signals.stop()
        # Keras leaves it there, for the next training too.
        self.model._initial_epoch = None
        if self.delete_checkpoint and self._writes:
            remove_backups(self.backup_dir)

    @property
    def _writes(self):
        """Whether this process writes."""
        return True

    def _model_to_write(self):
        """Returns a context that gives the model whose state to write."""
        return contextlib.nullcontext(self.model)

    def _find(self):
        return find_whole(self.backup_dir, sets_aside=self._writes)

    def _consider_backup(self):
        """Backs up before the next step, if it is time or a signal came."""
        # In one process of several, or before the steps that were done before.
        if self.backs_up_inside_epochs and self._step > self._saved_step:
            due = self.save_freq != "epoch" and self._metrics is None
            due = due and self._step - self._saved_step >= self.save_freq
            if due or self._signals.heard:
                sync_state(self.model)
                self._saved_step = self._step
                self._write()
        self._end_if_asked()

    def _end_if_asked(self):
        if not self._signals.heard:
            return
        where = f"{self._epoch} epochs are finished and backed up"
        if self._saved_step:
            where += f", and step {self._saved_step} of the next one"
        self._signals.end(f"{where}. Training can be resumed from there.")

    def _write(self):
        facts = {
            "epoch": self._epoch,
            "step": self._saved_step,
            "steps_per_execution": self.model.steps_per_execution,
            "history": self.history,
            "backend": keras.backend.backend(),
            "keras": keras.version(),
        }
        with self._model_to_write() as model:
            if self._writes:
                groups = _groups(model)
                groups = {k: named_values(groups[k]) for k in groups}
                if self._saved_step:
                    groups[METRICS] = self._metrics or named_values(
                        model.metrics_variables
                    )
                write_backup(self.backup_dir, facts, groups)

    def _restore(self, path, facts):
        self._check(path, facts)
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        groups = _groups(self.model)
        # All are checked before the first one is changed.
        values = {k: read_group(path, facts, k, groups[k]) for k in groups}
        for group, variables in groups.items():
            _assign(variables, values[group])
        self.history = facts["history"]
        self.model._initial_epoch = self._epoch = facts["epoch"]
        self._saved_step = facts["step"]

    def _check(self, path, facts):
        backend, asked = keras.backend.backend(), self.params.get("epochs")
        if facts["backend"] != backend:
            raise ValueError(
                f"The backup {path} was written on {facts['backend']}, whose "
                "random numbers and rounding are others. Resume with "
                f"KERAS_BACKEND={facts['backend']}. Received: {backend}"
            )
        if facts["keras"] != keras.version():
            warnings.warn(
                f"The backup {path} was written by Keras {facts['keras']}, and "
                f"this is {keras.version()}: what follows may differ.",
                stacklevel=2,
            )
        if asked is not None and facts["epoch"] > asked:
            raise ValueError(
                f"The backup {path} has {facts['epoch']} finished epochs. "
                f"Expected: at most those asked for. Received: epochs={asked}"
            )
        steps = facts["steps_per_execution"]
        if facts["step"] and steps != self.model.steps_per_execution:
            raise ValueError(
                f"The backup {path} is inside of an epoch with "
                f"steps_per_execution={steps}. Received: "
                f"steps_per_execution={self.model.steps_per_execution}"
            )

    def _restore_metrics(self):
        path, facts = self._found
        variables = self.model.metrics_variables
        if len(variables) == len(facts["shapes"][METRICS]):
            _assign(variables, read_group(path, facts, METRICS, variables))

    def _build_metrics(self, batch):
        """Restores metrics that TensorFlow makes in the first step only."""
        before = len(self.model.metrics_variables)
        if before < len(self._found[1]["shapes"][METRICS]):
            self.model._symbolic_build(data_batch=batch)
            self._restore_metrics()


def _groups(model):
    return {"model": model.variables, "optimizer": model.optimizer.variables}


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
