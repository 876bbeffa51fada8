import json
import os
import signal
import zipfile
from unittest import mock

import keras
import numpy as np

from keras_mim.callbacks import Backup
from tests.test_case import TestCase

STEPS = 4


def make_model(units=3):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(units),
        ]
    )
    # Compiling takes longer than these few steps.
    model.compile("adam", "mse", metrics=["mae"], jit_compile=False)
    return model


def make_data(units=3):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS * 2, 6)).astype("float32")
    return x, x[:, :units] * 2


class Signal(keras.callbacks.Callback):
    """Sends this process a signal while a step, or the validation, runs."""

    def __init__(self, number, epoch, step=None):
        super().__init__()
        self.number, self.epoch, self.step = number, epoch, step

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch == self.epoch

    def on_train_batch_begin(self, batch, logs=None):
        if self.now and batch == self.step:
            os.kill(os.getpid(), self.number)

    def on_test_batch_begin(self, batch, logs=None):
        if self.now and self.step is None:
            os.kill(os.getpid(), self.number)


class BackupTest(TestCase):
    def train(self, folder, callbacks=(), epochs=3, model=None, **options):
        model = model or make_model()
        backup = Backup(folder, delete_checkpoint=False, **options)
        x, y = make_data(model.layers[-1].units)
        model.fit(
            x,
            y,
            batch_size=2,
            epochs=epochs,
            shuffle=False,
            verbose=0,
            validation_data=(x[:4], y[:4]),
            callbacks=[*callbacks, backup],
        )
        values = [*model.variables, *model.optimizer.variables]
        return [self.to_numpy(v) for v in values], backup

    def test_a_training_that_is_asked_to_end_ends_like_one_left_alone(self):
        folder = self.temp_dir()
        expected, whole = self.train(folder / "whole")
        before = signal.getsignal(signal.SIGTERM)
        for name, send, error, text in (
            (
                "step",
                Signal(signal.SIGTERM, 1, 2),
                SystemExit,
                "143",
            ),
            (
                "validation",
                Signal(signal.SIGINT, 1),
                KeyboardInterrupt,
                "1 epochs are finished .* and step 4 of the next one",
            ),
        ):
            with self.assertRaisesRegex(error, text):
                self.train(folder / name, [send])
            self.assertIs(signal.getsignal(signal.SIGTERM), before)
            self.assertEqual(Backup(folder / name).finished_epochs, 1)
            found, backup = self.train(folder / name)
            for one, other in zip(expected, found, strict=True):
                self.assertAllEqual(one, other)
            # The metrics of an epoch that was interrupted are of all of it.
            self.assertEqual(backup.history, whole.history)
        # Nobody is kept from ending a process whose training failed.
        with mock.patch.object(Backup, "on_epoch_end", side_effect=OSError):
            with self.assertRaises(OSError):
                self.train(folder / "failed")
        with self.assertRaises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        self.assertEqual([x["epoch"] for x in whole.history], [0, 1, 2])
        self.assertEqual(len(whole.paths), 2)

    def test_backups_by_the_step_and_what_is_removed(self):
        folder = self.temp_dir() / "backup"
        with mock.patch.object(Backup, "on_epoch_end", side_effect=OSError):
            with self.assertRaises(OSError):
                self.train(folder, save_freq=2)
        # The end of the epoch is the epoch's own.
        names = [path.stem for path in Backup(folder).paths]
        self.assertEqual(names[0], "epoch_000000_step_000000002")
        x, y = make_data()
        backup = Backup(folder)
        make_model().fit(x, y, batch_size=2, verbose=0, callbacks=[backup])
        self.assertFalse(folder.exists())

    def test_what_cannot_be_resumed(self):
        folder = self.temp_dir()
        self.train(folder, epochs=2)
        with self.assertRaisesRegex(ValueError, "2 finished.*epochs=1"):
            self.train(folder, epochs=1)
        with self.assertRaisesRegex(ValueError, r"shape \(6, 3\).*\(6, 2\)"):
            self.train(folder, model=make_model(units=2))
        other = make_model()
        other.compile("sgd", "mse", jit_compile=False)
        with self.assertRaisesRegex(ValueError, "optimizer has 6 variables"):
            self.train(folder, model=other)
        for change, error, text in (
            ({"backend": "abacus"}, ValueError, "KERAS_BACKEND=abacus"),
            ({"epoch": 99}, ValueError, "No backup .* is whole"),
        ):
            copy = self.temp_dir()
            self.rewrite(Backup(folder).paths[0], copy, facts=change)
            with self.assertRaisesRegex(error, text):
                self.train(copy)
        copy = self.temp_dir()
        self.rewrite(Backup(folder).paths[0], copy, facts={"keras": "3.0"})
        with self.assertWarnsRegex(UserWarning, "by Keras 3.0"):
            self.train(copy, epochs=2)
        copy = self.temp_dir()
        self.rewrite(Backup(folder).paths[0], copy, number=np.nan)
        with self.assertRaisesRegex(
            FloatingPointError, "of the .* in .*kernel"
        ):
            self.train(copy)

    def rewrite(self, path, folder, facts=(), number=None):
        """Writes a backup with something else in it."""
        with (
            zipfile.ZipFile(path) as old,
            zipfile.ZipFile(folder / path.name, "w") as new,
        ):
            for name in old.namelist():
                content = old.read(name)
                if name == "facts.json":
                    content = {**json.loads(content), **dict(facts)}
                    content = json.dumps(content)
                with new.open(name, "w") as file:
                    if number is not None and name.startswith("model/"):
                        with old.open(name) as entry:
                            array = np.lib.format.read_array(entry)
                        if array.ndim == 2:
                            array[0, 0] = number
                        np.lib.format.write_array(file, array)
                    else:
                        file.write(
                            content
                            if isinstance(content, bytes)
                            else content.encode()
                        )

    def test_neither_a_full_disk_nor_nan_takes_the_last_backup(self):
        folder = self.temp_dir()
        self.train(folder, epochs=1)
        (last,) = Backup(folder).paths
        content = last.read_bytes()
        full = mock.patch("os.fsync", side_effect=OSError(28, "No space left"))
        with full, self.assertRaisesRegex(OSError, f"space.*{last.name} is w"):
            self.train(folder, epochs=2)

        class Spoil(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                bias = self.model.layers[-1].bias
                bias.assign([0.0, np.inf, 0.0])

        with self.assertRaisesRegex(FloatingPointError, "1 of the 3 .*bias"):
            self.train(folder, [Spoil()], epochs=2)
        self.assertEqual(os.listdir(folder), [last.name])
        self.assertEqual(last.read_bytes(), content)
