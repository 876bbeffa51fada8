"""A look at the first batch of every training, evaluation and prediction."""

import copy
import itertools
import sys

import keras

from keras_mim._requirements import require


class ChecksData:
    """Has a model look at the first batch of all data that it is given.

    There, values can still be looked at; and an error inside of a step costs a
    model its weights on JAX, which hands them over to the step. Comes before
    `keras.Model` among the bases. A subclass has a method
    `check_inputs(inputs)`, which gets what its `call` gets, with values.

    A `DataLoader` may give single tensors or dicts: Keras 3.15 would take them
    for tuples on TensorFlow and JAX.
    """

    def fit(self, x=None, y=None, *args, **kwargs):
        _check_weights(y, kwargs.get("sample_weight"))
        validation_data = kwargs.get("validation_data")
        if validation_data is not None:
            kwargs["validation_data"] = _in_tuples(validation_data)
        return super().fit(_in_tuples(x), y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        _check_weights(y, kwargs.get("sample_weight"))
        return super().evaluate(_in_tuples(x), y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        return super().predict(_in_tuples(x), *args, **kwargs)

    # Keras calls these where every training, evaluation and prediction begins.
    def make_train_function(self, force=False):
        super().make_train_function(force)
        self.train_function = FirstLook(self, self.train_function)
        return self.train_function

    def make_test_function(self, force=False):
        super().make_test_function(force)
        self.test_function = FirstLook(self, self.test_function)
        return self.test_function

    def make_predict_function(self, force=False):
        super().make_predict_function(force)
        self.predict_function = FirstLook(self, self.predict_function)
        return self.predict_function


def _check_weights(labels, sample_weight):
    """Raises a `ValueError` where Keras would drop weights in silence."""
    if sample_weight is not None and labels is None:
        raise ValueError(
            "Keras drops `sample_weight` where there are no labels. Pass "
            "some: a masked image model ignores them, `y=np.zeros(len(x))`. "
            "Received: y=None"
        )


def _in_tuples(data):
    """Returns data, a `DataLoader` as one whose batches are tuples or lists."""
    # Whoever has one has imported torch, which others need not have.
    torch_data = sys.modules.get("torch.utils.data")
    if torch_data is None or not isinstance(data, torch_data.DataLoader):
        return data

    class InTuples(type(data)):
        def __iter__(self):
            for batch in super().__iter__():
                alone = not isinstance(batch, (tuple, list))
                yield (batch,) if alone else batch

    data = copy.copy(data)
    data.__class__ = InTuples
    return data


class FirstLook:
    """A step of Keras's trainers that first checks what it is given.

    Before a step, a mask still has values to look at, wherever it comes from.
    Later steps run as they would without.

    Args:
        model: `keras.Model` with a method `check_inputs(inputs)`.
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
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        try:
            self.model.check_inputs(inputs)
        except ValueError:
            if state:
                _give_back(self.model, *state)
            raise


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
