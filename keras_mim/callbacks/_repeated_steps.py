import itertools

import keras


class RepeatedSteps:
    """Takes the place of a model's training step for steps that were done.

    It takes their batches off the data, and nothing else: so the data stands
    where it stood, whatever it is that gives it.

    Args:
        model: `keras.Model`, at the beginning of an epoch.
        count: int. Number of calls, at least one.
        on_batch: callable. Called on TensorFlow, with each call's first batch.
    """

    def __init__(self, model, count, on_batch):
        self.model = model
        self.count = count
        self.on_batch = on_batch
        # On JAX, metrics can only be read before the epoch's first step; on
        # TensorFlow they may be made in it.
        self.on_tensorflow = keras.backend.backend() == "tensorflow"
        self.logs = {} if self.on_tensorflow else model.get_metrics_result()
        self.function = model.train_function
        model.train_function = self

    def __call__(self, *arguments):
        # JAX's steps take a state, too.
        *state, batches = arguments
        if not isinstance(batches, list):
            # An iterator, which is not on torch: the step takes them off it.
            number = self.model.steps_per_execution
            batches = list(itertools.islice(batches, number))
        if self.on_tensorflow:
            self.on_batch(batches[0])
            self.logs = self.model.get_metrics_result()
        self.count -= 1
        if not self.count:
            self.end()
        return (self.logs, *state) if state else self.logs

    def end(self):
        """Gives the model its own step back."""
        self.model.train_function = self.function
