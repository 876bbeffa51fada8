import random
import warnings

import keras
import numpy as np
import pytest

from keras_mim.encoders._first_batch import checked
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(4)
LABELS = np.arange(4.0)
HALVES = [(IMAGES[:2], LABELS[:2]), (IMAGES[2:], LABELS[2:])]


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        random.random(), np.random.rand()
        return self.batches[index]


def as_loader(images):
    """Returns a `DataLoader` of items in the structure of `images`."""
    torch = pytest.importorskip("torch")

    class Items(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            torch.rand(())
            return keras.tree.map_structure(lambda x: x[index], images)

    return torch.utils.data.DataLoader(Items(), 2)


def as_dataset(images):
    """Returns a `tf.data.Dataset` of two batches of `images`."""
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(images).batch(2)


def as_generator(batches):
    yield from batches


def as_containers(images):
    """Yields images as everything that `fit` takes."""
    halves = [(images[:2],), (images[2:],)]
    yield images
    yield keras.ops.convert_to_tensor(images)
    yield as_generator(halves)
    yield Batches(halves)
    yield as_dataset(images)
    yield as_loader(images)


def read(data):
    """Returns the batches of data as lists of NumPy arrays."""
    if isinstance(data, keras.utils.PyDataset):
        data = [data[i] for i in range(len(data))]
    return [[np.asarray(x) for x in batch] for batch in data]


class FirstBatchTest(TestCase):
    def test_data_goes_on_as_it_was(self):
        for data, passes in (
            (as_generator(HALVES), 1),
            (Batches(HALVES), 2),
            (as_dataset((IMAGES, LABELS)), 2),
            (as_loader((IMAGES, LABELS)), 2),
        ):
            seen = []
            again = checked(data, seen.append)
            for _ in range(passes):
                batches = read(again)
                self.assertEqual(len(batches), 2)
                for found, expected in zip(batches, HALVES):
                    self.assertAllEqual(found[0], expected[0])
                    self.assertAllEqual(found[1], expected[1])
            if passes == 2:
                self.assertEqual(len(again), 2)
            # Once, though a dataset says its form beforehand.
            values = [x for x in seen if isinstance(x, np.ndarray)]
            self.assertEqual(len(values), 1)
            self.assertAllEqual(values[0], IMAGES[:2])

    def test_random_streams_stay_where_they_are(self):
        torch = pytest.importorskip("torch")

        def seed():
            keras.utils.set_random_seed(0)
            torch.manual_seed(0)

        def draw():
            return random.random(), np.random.rand(), float(torch.rand(()))

        for data in (Batches(HALVES), as_loader(IMAGES)):
            seed()
            expected = draw()
            seed()
            checked(data, lambda inputs: None)
            self.assertEqual(draw(), expected)

    def test_what_cannot_be_read_twice_is_left_alone(self):
        torch = pytest.importorskip("torch")

        class Stream(torch.utils.data.IterableDataset):
            def __iter__(self):
                return iter(IMAGES)

        seen = []
        data = checked(torch.utils.data.DataLoader(Stream(), 2), seen.append)
        self.assertEqual(seen, [])
        for (batch,), (expected, _) in zip(read(data), HALVES, strict=True):
            self.assertAllEqual(batch, expected)

    def test_single_tensors_and_dicts_of_a_data_loader(self):
        encoder = tiny.vit()
        self.assertAllClose(
            encoder.predict(as_loader(IMAGES), verbose=0),
            encoder.predict(IMAGES, verbose=0),
            1e-5,
            1e-5,
        )
        model = tiny.simmim(encoder)
        # Tracing these takes longer than running them.
        eager = keras.backend.backend() == "tensorflow"
        model.compile("sgd", run_eagerly=eager)
        masked = np.tile(np.arange(6) < 3, (4, 1))
        inputs = {"images": IMAGES, "masked": masked}
        expected = model.evaluate(inputs, verbose=0)
        loader = as_loader(inputs)
        self.assertAllClose(model.evaluate(loader, verbose=0), expected, 1e-5)
        found = model.predict(loader, verbose=0)
        self.assertAllEqual(found["masked"], masked)
        history = model.fit(loader, validation_data=loader, verbose=0).history
        self.assertTrue(np.isfinite(history["val_loss"]).all())
        self.assertEqual(int(model.optimizer.iterations), 2)

    def test_a_wrong_dtype_is_refused_before_the_first_step(self):
        model = tiny.simmim()
        model.compile("sgd")
        weights = model.get_weights()
        for data in as_containers(IMAGES.astype("int32")):
            with self.assertRaisesRegex(ValueError, "of dtype int32"):
                model.fit(data, verbose=0)
        for use in (
            lambda: model.encoder.predict(IMAGES > 0, verbose=0),
            lambda: model.predict(IMAGES > 0, verbose=0),
            lambda: model.evaluate(IMAGES > 0, verbose=0),
            lambda: model.fit(IMAGES, validation_data=as_dataset(IMAGES > 0)),
        ):
            with self.assertRaisesRegex(ValueError, "of dtype bool"):
                use()
        # JAX takes them away with the step.
        for one, other in zip(model.get_weights(), weights, strict=True):
            self.assertAllEqual(one, other)

    def test_a_wrong_range_is_noticed_once(self):
        model = tiny.vit()
        pixels = np.random.default_rng(0).uniform(0, 255, IMAGES.shape)
        for data in as_containers(pixels.astype("float32")):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model.predict(data, verbose=0)
            caught = [str(x.message) for x in caught]
            caught = [x for x in caught if "look like pixels in [0, 255]" in x]
            self.assertEqual(len(caught), 1, type(data))

    def test_weights_without_labels(self):
        model = tiny.simmim()
        model.compile("sgd")
        for use in (model.fit, model.evaluate):
            with self.assertRaisesRegex(ValueError, "drops `sample_weight`"):
                use(IMAGES, sample_weight=np.ones(4))
