import warnings

import keras
import numpy as np
import pytest

from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(4)
LABELS = np.arange(4.0)


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def as_loader(images):
    """Returns a `DataLoader` of items in the structure of `images`."""
    torch = pytest.importorskip("torch")

    class Items(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
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


class FirstLookTest(TestCase):
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
            lambda: model.fit(IMAGES, validation_data=(IMAGES > 0, LABELS)),
        ):
            with self.assertRaisesRegex(ValueError, "of dtype bool"):
                use()
        # JAX takes them away with the step.
        for one, other in zip(model.get_weights(), weights, strict=True):
            self.assertAllEqual(one, other)
        with self.assertRaisesRegex(ValueError, "of dtype bool"):
            model.fit(IMAGES, validation_data=as_dataset(IMAGES > 0))

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
