"""A look at the first batch of every training, evaluation and prediction."""

import itertools

import keras

from keras_mim._requirements import require
from keras_mim.models._inputs import check_inputs


class FirstLook:
    """A step of Keras's trainers that first checks what it is given.

    Before a step, a mask still has values to look at, wherever it comes from.
    Later steps run as they would without.

    Args:
        model: `MaskedImageModel`.
        function: Function that Keras's `make_train_function`,
            `make_test_function` or `make_predict_function` made, or one that
            looks already.
    """

    def __init__(self, model, function):
        looks = isinstance(function, FirstLook)
        self.model = model
        self.function = function.function if looks else function
        self.is_first = True

    def __call__(self, *arguments):
        if self.is_first:
            self.is_first = False
            # JAX's steps take a state, too.
            *state, batches = arguments
            arguments = *state, self._look(batches, state)
        return self.function(*arguments)

    def _look(self, batches, state):
        """Returns the batches of the first step, checked."""
        spec = None
        if keras.backend.backend() == "tensorflow":
            tf = require("tensorflow", "tensorflow")
            if isinstance(batches, tf.distribute.DistributedIterator):
                return batches
            if isinstance(batches, tf.data.Iterator):
                spec = batches.element_spec
                if not _has_masks(spec):
                    return batches
        # A step takes that many.
        first = list(itertools.islice(batches, self.model.steps_per_execution))
        if first:
            self._check(first[0], state)
        if isinstance(batches, list):
            return first
        if spec is None:
            return iter(first)
        # Of the same kind, or TensorFlow would trace the step twice.
        dataset = tf.data.Dataset.from_generator(
            lambda: first, output_signature=spec
        )
        return iter(dataset)

    def _check(self, batch, state):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        model = self.model
        try:
            check_inputs(x, model.encoder, model.num_masked)
        except ValueError:
            if state:
                _give_back(model, *state)
            raise


def _has_masks(batch):
    x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    return isinstance(x, dict) and "masked" in x


def _give_back(model, state):
    """Puts values back that JAX's trainer has taken off the variables.

    Args:
        model: `keras.Model`.
        state: tuple of lists of arrays, as Keras hands it to a step.
    """
    variables = [model.trainable_variables, model.non_trainable_variables]
    if len(state) == 4:
        variables.append(model.optimizer.variables)
    variables.append(model.metrics_variables)
    for group, values in zip(variables, state):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)
