import contextlib

import keras

from keras_mim.callbacks import Backup


@contextlib.contextmanager
def without_distribution():
    """Makes what is computed inside the chief's own, with no one else."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


class ChiefOnly(keras.callbacks.Callback):
    """Runs another callback in the first process alone."""

    def __init__(self, callback, placement):
        super().__init__()
        self.callback = callback
        self.placement = placement

    def set_params(self, params):
        self.callback.set_params(params)

    def set_model(self, model):
        super().set_model(model)
        self.callback.set_model(model)

    def on_train_begin(self, logs=None):
        if self.placement.is_chief:
            with without_distribution():
                self.callback.on_train_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        with self.placement.chief_model(self.model) as own:
            if self.placement.is_chief:
                self.callback.set_model(own)
                self.callback.on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        if self.placement.is_chief:
            self.callback.on_train_end(logs)


class ChiefBackup(Backup):
    """Restores every process from what the first one has backed up."""

    def __init__(self, placement, folder, delete_checkpoint):
        super().__init__(folder, delete_checkpoint=delete_checkpoint)
        self.placement = placement

    @property
    def backs_up_inside_epochs(self):
        # A signal reaches several processes in different steps.
        return self.placement.count == 1

    @property
    def _writes(self):
        return self.placement.is_chief

    def _model_to_write(self):
        return self.placement.chief_model(self.model)
