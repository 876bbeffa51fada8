import contextlib
from collections.abc import Iterable
from collections.abc import Sized

import keras

from keras_mim._checks import check
from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim._checks import check_kind
from keras_mim._checks import check_path
from keras_mim._checks import is_int
from keras_mim._files import whole
from keras_mim.distribution._chief_callbacks import ChiefBackup
from keras_mim.distribution._chief_callbacks import ChiefOnly


class Placement:
    """The place of this process among those that train one model together.

    Made by `keras_mim.distribution.start`, whose example shows all of it. Here
    it is one process that trains on one device; each engine has a class that
    overrides what it does otherwise.

    All processes run the same script. The first one, the chief, writes every
    file, and does alone what follows the training.

    Args:
        index: int. Number of this process, from 0. Defaults to `0`.
        count: int. Number of processes. Defaults to `1`.
        replicas: int. Number of devices that share a batch. Defaults to `1`.
        shares: int. Number of pipeline batches that make up one batch of all
            devices. Defaults to `None`: one for each process.
    """

    def __init__(self, index=0, count=1, replicas=1, shares=None):
        check_counts(count=count, replicas=replicas)
        check_counts(or_none=True, shares=shares)
        right = is_int(index) and 0 <= index < count
        check(right, "index", index, f"an int in [0, {count})")
        self.index = index
        self.count = count
        self.replicas = replicas
        self.shares = count if shares is None else shares

    @property
    def is_chief(self):
        """bool: whether this is the first process, which writes."""
        return self.index == 0

    @property
    def shard(self):
        """tuple: `(index, count)`, as `ImagePipeline(shard=...)` takes it."""
        return self.index, self.count

    def scope(self):
        """Returns the context to make and compile the model in.

        Returns:
            A context manager.
        """
        return contextlib.nullcontext()

    def batch_size(self, global_batch_size):
        """Returns the batch size of this process's pipeline.

        It is the share of this process, and on TensorFlow that of one device.

        Args:
            global_batch_size: int. Images a step, of all devices together. It
                must be a multiple of their number.

        Returns:
            int.
        """
        size = global_batch_size
        right = is_int(size) and 0 < size < 2**31 and not size % self.replicas
        expected = "a positive multiple of the number of devices, "
        expected += str(self.replicas)
        check(right, "global_batch_size", size, expected)
        return global_batch_size // self.shares

    def seed(self, seed):
        """Returns a seed for what has to differ between processes.

        Args:
            seed: int.

        Returns:
            int. In the first process, `seed` itself.
        """
        check(is_int(seed), "seed", seed, "an int")
        return seed + 1_000_003 * self.index

    def steps(self, batches):
        """Returns how many steps an epoch of a pipeline has.

        Args:
            batches: `tf.data.Dataset` or a sequence. What the pipeline of this
                process gives.

        Returns:
            int.
        """
        check(isinstance(batches, Sized), "batches", batches, "of known length")
        return len(batches) * self.count // self.shares

    def fit(
        self,
        model,
        batches,
        validation_data=None,
        epochs=1,
        initial_epoch=0,
        callbacks=(),
    ):
        """Trains a model as `model.fit` does, on all devices.

        Args:
            model: A compiled `keras.Model`, made inside of `scope`.
            batches: `tf.data.Dataset` of known length. The batches of this
                process, of which all processes have equally many.
            validation_data: As `batches`, or `None`.
            epochs: int. Number of the last epoch. Defaults to `1`.
            initial_epoch: int. Number of epochs that were finished before.
                Defaults to `0`.
            callbacks: list of `keras.callbacks.Callback`. They run in every
                process, and see the same losses in each. Callbacks that write
                files belong into `chief_only`. Defaults to `()`.

        Returns:
            `keras.callbacks.History`. On torch with several processes it holds
            the losses, but no metrics.
        """
        check_kind(keras.Model, model=model)
        check_counts(epochs=epochs)
        check_counts(least=0, initial_epoch=initial_epoch)
        right = isinstance(callbacks, Iterable)
        check(right, "callbacks", callbacks, "a list of Keras callbacks")
        return self._fit(
            model,
            batches,
            validation_data,
            epochs=epochs,
            initial_epoch=initial_epoch,
            callbacks=list(callbacks),
        )

    def _fit(self, model, batches, validation_data, **options):
        return model.fit(
            batches,
            validation_data=validation_data,
            shuffle=False,  # The pipeline does it.
            verbose="auto" if self.is_chief else 0,
            **options,
        )

    def chief_only(self, callback):
        """Makes a callback run in the first process alone.

        For callbacks that write files or look at the weights. The callback
        gets a model that one process can compute with by itself. With several
        processes it is called when training begins, at the end of each epoch,
        and when training ends, but not for each batch.

        Args:
            callback: `keras.callbacks.Callback`.

        Returns:
            `keras.callbacks.Callback`.
        """
        check_kind(keras.callbacks.Callback, callback=callback)
        return callback if self.count == 1 else ChiefOnly(callback, self)

    def backup(self, folder, delete_checkpoint=True):
        """Returns the callback that an interrupted run is resumed from.

        The first process writes, and every process restores what it wrote.
        Several processes do so after each epoch only: a signal ends them in
        the middle of one, from whose beginning they go on.

        Args:
            folder: str or path. Where the backup is kept.
            delete_checkpoint: bool. Whether the backup is removed when
                training ends. Defaults to `True`.

        Returns:
            `keras_mim.callbacks.Backup`.
        """
        check_path(folder=folder)
        check_flags(delete_checkpoint=delete_checkpoint)
        return ChiefBackup(self, folder, delete_checkpoint)

    @contextlib.contextmanager
    def chief_model(self, model):
        """Gives the first process a model to compute with by itself.

        All processes must enter it: weights that others hold a part of are
        fetched from them.

        Args:
            model: A compiled `keras.Model`.

        Yields:
            A model of the same class, or `None` in the other processes.
        """
        check_kind(keras.Model, model=model)
        yield model if self.is_chief else None

    def finish(self, model, path):
        """Saves the trained model and parts from the other processes.

        Args:
            model: A compiled `keras.Model`.
            path: str or path. The `.keras` file to write.

        Returns:
            In the first process the model, on one device, with which nothing
            has to be distributed. `None` in the others, which are done.
        """
        check_kind(keras.Model, model=model)
        check_path(path=path)
        with self.chief_model(model) as own:
            if self.is_chief:
                with whole(path) as partial:
                    own.save(partial)
        self._leave()
        if self.replicas == 1 or not self.is_chief:
            return own
        keras.distribution.set_distribution(None)
        return keras.saving.load_model(path)

    def _leave(self):
        """Parts from the other processes, when all of them have finished."""
