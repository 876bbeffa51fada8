"""A look at the first batch of what `fit`, `evaluate` and `predict` get."""

import contextlib
import copy
import functools
import itertools
import random
import sys
import types

import keras
import numpy as np

# How many images of a `DataLoader` are looked at.
NUM_IMAGES = 8


class ChecksData:
    """Has a model look at the first batch of its data, before the first step.

    There, values can still be looked at; and an error does not cost a model its
    weights, which JAX hands over to the step. Comes before `keras.Model` among
    the bases. A subclass has a method `check_inputs(inputs, training)`, which
    gets what its `call` gets: arrays, or symbolic tensors where only shapes and
    dtypes are known.

    A `DataLoader` may give single tensors or dicts: Keras 3.15 would take them
    for tuples on TensorFlow and JAX.
    """

    def fit(self, x=None, y=None, *args, **kwargs):
        _check_weights(y, kwargs.get("sample_weight"))
        x = self._checked(x, training=True)
        validation_data = kwargs.get("validation_data")
        if isinstance(validation_data, (tuple, list)):
            first, *rest = validation_data
            kwargs["validation_data"] = (self._checked(first), *rest)
        elif validation_data is not None:
            kwargs["validation_data"] = self._checked(validation_data)
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        _check_weights(y, kwargs.get("sample_weight"))
        # What `fit` evaluates on, it has looked at.
        if not kwargs.get("_use_cached_eval_dataset"):
            x = self._checked(x)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        return super().predict(self._checked(x), *args, **kwargs)

    def _checked(self, data, training=False):
        check = functools.partial(self.check_inputs, training=training)
        return checked(data, check)


def _check_weights(labels, sample_weight):
    """Raises a `ValueError` where Keras would drop weights in silence."""
    if sample_weight is not None and labels is None:
        raise ValueError(
            "Keras drops `sample_weight` where there are no labels. Pass "
            "some: a masked image model ignores them, `y=np.zeros(len(x))`. "
            "Received: y=None"
        )


def checked(data, check):
    """Checks the first batch of data, and returns the data to go on with.

    Costs a batch, of a `DataLoader` some images, and nothing that is drawn
    later is drawn in another way. What comes as a stream that cannot be begun
    twice is left alone.

    Args:
        data: What Keras's trainers take: arrays, a `tf.data.Dataset`, a
            `PyDataset`, a `DataLoader` or a generator.
        check: Function of a model's inputs. Raises, or warns.

    Returns:
        What gives the same batches.
    """
    if isinstance(data, types.GeneratorType):
        first = list(itertools.islice(data, 1))
        for batch in first:
            check(_inputs(batch))
        return _chain(first, data)
    if isinstance(data, keras.utils.PyDataset):
        if data.num_batches != 0:
            with _undisturbed():
                batch = data[0]
            check(_inputs(batch))
    elif _is_dataset(data):
        data = _checked_dataset(data, check)
    elif _is_loader(data):
        batch = _some_images(data)
        if batch is not None:
            check(_inputs(batch))
        data = _in_tuples(data)
    elif all(map(_is_array, keras.tree.flatten(data))):
        check(data)
    return data


def _is_array(x):
    return isinstance(x, np.ndarray) or keras.ops.is_tensor(x)


def _inputs(batch):
    """Returns what a model is called with, as NumPy arrays."""
    inputs, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, inputs)


def _chain(first, generator):
    # Keras takes generators, not iterators.
    yield from first
    yield from generator


@contextlib.contextmanager
def _undisturbed():
    """Leaves the global random streams where they are."""
    state, numpy_state = random.getstate(), np.random.get_state()
    torch = sys.modules.get("torch")
    try:
        with torch.random.fork_rng([]) if torch else contextlib.nullcontext():
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


def _is_dataset(data):
    # Whoever has one has imported TensorFlow, which others need not have.
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(data, tf.data.Dataset)


def _checked_dataset(dataset, check):
    """Checks the form of a dataset, and the values of floats once it is read.

    To read a batch here could start what is slow, and count as an epoch.
    """
    tf = sys.modules["tensorflow"]
    inputs, _, _ = keras.utils.unpack_x_y_sample_weight(dataset.element_spec)
    if any(spec.shape.rank is None for spec in keras.tree.flatten(inputs)):
        return dataset
    form = keras.tree.map_structure(
        lambda spec: keras.KerasTensor(spec.shape, spec.dtype.name), inputs
    )
    check(form)
    if all("float" not in tensor.dtype for tensor in keras.tree.flatten(form)):
        return dataset
    waiting = [check]

    def look(*values):
        values = [value.numpy() for value in values]
        if waiting:
            waiting.pop()(keras.tree.pack_sequence_as(form, values))
        return True

    @tf.autograph.experimental.do_not_convert
    def pass_on(number, batch):
        values, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        values = keras.tree.flatten(values)
        looked = tf.cond(
            number == 0,
            lambda: tf.py_function(look, values, tf.bool),
            lambda: True,
        )
        with tf.control_dependencies([looked]):
            return tf.nest.map_structure(
                lambda x: None if x is None else tf.identity(x), batch
            )

    return dataset.enumerate().map(pass_on)


def _is_loader(data):
    torch_data = sys.modules.get("torch.utils.data")
    return torch_data is not None and isinstance(data, torch_data.DataLoader)


def _some_images(loader):
    """Returns a small batch of a `DataLoader`, or `None` where that is dear.

    Without its workers, which take seconds to start.
    """
    dataset = loader.dataset
    torch_data = sys.modules["torch.utils.data"]
    if isinstance(dataset, torch_data.IterableDataset) or not len(dataset):
        return None
    with _undisturbed():
        if loader.batch_sampler is None:
            # Its items are batches.
            return loader.collate_fn(dataset[0])
        number = min(loader.batch_size or 1, len(dataset), NUM_IMAGES)
        return loader.collate_fn([dataset[i] for i in range(number)])


def _in_tuples(loader):
    """Returns a `DataLoader` whose batches are tuples or lists."""

    class InTuples(type(loader)):
        def __iter__(self):
            for batch in super().__iter__():
                alone = not isinstance(batch, (tuple, list))
                yield (batch,) if alone else batch

    loader = copy.copy(loader)
    loader.__class__ = InTuples
    return loader
