import importlib.util

import keras
import numpy as np

from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(4)
# `tiny.mae()` hides four.
GOOD = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0]] * 2, bool)
FEWER = np.tile(np.arange(6) < 3, (4, 1))
MESSAGE = "masking, 4: .*Received: "


class Batches(keras.utils.PyDataset):
    """Two batches of two images, with labels."""

    def __init__(self, masked):
        super().__init__()
        self.masked = masked

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(2 * index, 2 * index + 2)
        inputs = {"images": IMAGES[rows], "masked": self.masked[rows]}
        return inputs, np.zeros(2, "float32")


def generator(masked):
    batches = Batches(masked)
    return (batches[i] for i in range(2))


def tf_dataset(masked):
    import tensorflow as tf

    inputs = {"images": IMAGES, "masked": masked}
    return tf.data.Dataset.from_tensor_slices((inputs, np.zeros(4))).batch(2)


def torch_loader(masked):
    import torch

    batches = Batches(masked)
    return torch.utils.data.DataLoader(
        [batches[i] for i in range(2)], batch_size=None
    )


def containers():
    kinds = [Batches, generator]
    if importlib.util.find_spec("tensorflow"):
        kinds.append(tf_dataset)
    if importlib.util.find_spec("torch"):
        kinds.append(torch_loader)
    return kinds


class FirstLookTest(TestCase):
    def setUp(self):
        super().setUp()
        self.model = tiny.mae()
        self.model.compile("adam", jit_compile=False)

    def assertRaisesUnharmed(self, message, call, *arguments, **options):
        before = [self.to_numpy(w).copy() for w in self.model.weights]
        with self.assertRaisesRegex(ValueError, message):
            call(*arguments, **options)
        for weight, value in zip(self.model.weights, before):
            self.assertAllEqual(weight, value)

    def test_masks_of_another_count_in_any_container(self):
        model = self.model
        for make in containers():
            for call in (model.fit, model.evaluate, model.predict):
                self.assertRaisesUnharmed(
                    MESSAGE + "3", call, make(FEWER), verbose=0
                )

    def test_masks_of_another_count_in_arrays(self):
        model = self.model
        inputs = {"images": IMAGES, "masked": FEWER}
        tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
        labels = np.zeros(4)
        for call in (
            lambda: model.train_on_batch(inputs, labels),
            lambda: model.test_on_batch(inputs, labels),
            lambda: model.predict_on_batch(inputs),
            lambda: model.evaluate(inputs, verbose=0),
            lambda: model.fit(tensors, verbose=0),
            lambda: model.fit(IMAGES, validation_data=(inputs, labels)),
        ):
            self.assertRaisesUnharmed(MESSAGE + "3", call)
        # The last image is not in the first batch.
        inputs["masked"] = np.concatenate([GOOD[:3], FEWER[:1]])
        self.assertRaisesUnharmed(
            MESSAGE + "between", model.fit, inputs, batch_size=1
        )

    def test_the_batch_that_was_looked_at_is_not_lost(self):
        model = self.model
        batches = Batches(GOOD)
        losses = [model.test_on_batch(*batches[i]) for i in range(2)]
        self.assertNotEqual(*losses)
        on_tensorflow = keras.backend.backend() == "tensorflow"
        # There, Keras makes the same of all.
        for make in [tf_dataset] if on_tensorflow else containers():
            loss = model.evaluate(make(GOOD), verbose=0)
            self.assertAllClose(loss, np.mean(losses), 1e-5, 1e-5)
