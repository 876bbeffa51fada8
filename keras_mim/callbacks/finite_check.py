import math
import sys

import keras
from keras import ops

from keras_mim._checks import check_counts
from keras_mim.callbacks._sync_state import sync_state
from keras_mim.ops._inference import no_gradient


class FiniteCheck(keras.callbacks.Callback):
    """Ends a training with an error when its loss is not finite any more.

    The error names the step, the learning rate and the last finite loss.
    `keras.callbacks.TerminateOnNaN` lets `fit` return as if all were well, and
    what follows saves the weights. Put it in front of callbacks that write
    something, and use `Backup` to go on from before.

    The loss is looked at some steps late on JAX and torch, so that Keras need
    not wait for each.

    Args:
        max_skipped: int. How many steps to undo before one is an error. A step
            whose loss, or a weight after it, is not finite leaves all
            variables as they were: weights, optimizer, random numbers and
            metrics; it is told, and counted in the epoch's logs as
            `skipped_steps`. It takes a copy of the variables before each step,
            and waits for each step. In one process only. Defaults to `0`.

    Raises:
        FloatingPointError: While it trains.

    Example:

    >>> check = keras_mim.callbacks.FiniteCheck()
    >>> mae.fit(images, epochs=10, callbacks=[check])
    """

    def __init__(self, max_skipped=0):
        super().__init__()
        check_counts(least=0, max_skipped=max_skipped)
        self.max_skipped = max_skipped
        # A few batches later is soon enough.
        self.async_safe = not max_skipped
        self.num_skipped = 0
        self._epoch = 0
        # Epoch, step and loss: of the last finite one, of the first other.
        self._last = self._found = None
        self._before = []

    def on_train_begin(self, logs=None):
        self.num_skipped, self._last, self._found = 0, None, None
        optimizer = self.model.optimizer
        if self.max_skipped and not optimizer.built:
            # Or the first step could not be undone on TensorFlow.
            optimizer.build(self.model.trainable_variables)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self._raise_if_found()
        if self.max_skipped:
            sync_state(self.model)
            with no_gradient():
                self._before = [(v, ops.copy(v)) for v in self._variables()]

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        # Keras calls this in threads, which may overtake each other.
        here = self._epoch, batch + 1, float(loss)
        if self.max_skipped:
            sync_state(self.model)
        if math.isfinite(loss) and (
            not self.max_skipped or self._has_finite_weights()
        ):
            self._last = max(self._last or here, here)
        elif self.num_skipped < self.max_skipped:
            self._skip(here)
        else:
            self._found = min(self._found or here, here)

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        loss = logs.get("loss", 0.0)
        if not math.isfinite(loss) or not self._has_finite_weights():
            steps = self.params.get("steps") or 0
            self._found = self._found or (epoch, steps, loss)
        self._raise_if_found()
        if self.max_skipped:
            logs["skipped_steps"] = self.num_skipped

    def _variables(self):
        model = self.model
        variables = [*model.variables, *model.optimizer.variables]
        return [*variables, *model.metrics_variables]

    def _has_finite_weights(self):
        with no_gradient():
            weights = self.model.trainable_variables
            finite = [ops.all(ops.isfinite(v)) for v in weights]
            return bool(ops.all(ops.stack(finite)))

    def _skip(self, here):
        if here[1] == 1:
            # TensorFlow has made some metrics in this step only.
            self.model.reset_metrics()
        for variable, value in self._before:
            variable.assign(value)
        self.num_skipped += 1
        print(
            f"\n{_describe(here)}. It is undone, as {self.num_skipped} of at "
            f"most {self.max_skipped}.",
            file=sys.stderr,
        )

    def _raise_if_found(self):
        if self._found is None:
            return
        sync_state(self.model)
        rate = getattr(self.model.optimizer, "learning_rate", float("nan"))
        rate = float(ops.convert_to_numpy(rate))
        last = "There was no finite one"
        if self._last is not None:
            epoch, step, loss = self._last
            last = f"The last finite loss: {loss:g}, at step {step} of epoch "
            last += f"{epoch + 1}"
        raise FloatingPointError(
            f"{_describe(self._found)}. {last}. Losses are means of an epoch "
            "up to the step. A lower learning rate may help, gradients that "
            "are clipped, or data without values that are not finite. "
            f"Received: a learning rate of {rate:g}"
        )


def _describe(found):
    epoch, step, loss = found
    what = f"Step {step} of epoch {epoch + 1}"
    if math.isfinite(loss):
        return f"{what} leaves weights that are not finite"
    return f"{what} has a loss that is not finite, {loss:g}"
