import unittest

import keras
import numpy as np
import pytest

from keras_mim.data import FineTuneAugmentation
from keras_mim.data import ImagePipeline

tf = pytest.importorskip("tensorflow")
pytest.importorskip("keras_cv")

OFF = {
    "rand_augment": False,
    "erase_rate": 0.0,
    "mixup_alpha": 0.0,
    "cutmix_alpha": 0.0,
    "label_smoothing": 0.0,
}
COUNT, SIDE = 64, 8
LABELS = np.arange(COUNT) % 4
# Every image has one colour, which tells its class.
COLOURS = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
IMAGES = np.tile(COLOURS[LABELS][:, None, None], (1, SIDE, SIDE, 1))


def augment(images=IMAGES, labels=LABELS, **changes):
    augmentation = FineTuneAugmentation(4, seed=0, **{**OFF, **changes})
    batches = tf.data.Dataset.from_tensors((images, labels))
    ((images, labels),) = batches.apply(augmentation).as_numpy_iterator()
    return images, labels


class FineTuneAugmentationTest(unittest.TestCase):
    def test_with_all_off_images_stay_and_labels_are_one_hot(self):
        images, labels = augment()
        np.testing.assert_array_equal(images, IMAGES)
        np.testing.assert_array_equal(labels, np.eye(4)[LABELS])

    def test_wrong_labels(self):
        # 1 to 4 in place of 0 to 3, and the label of images without one.
        for wrong, value in ((LABELS + 1, 4), (LABELS - 1, -1)):
            with self.assertRaisesRegex(
                tf.errors.InvalidArgumentError,
                rf"from 0 to 3 .*Wrong are:\] \[{value} {value}",
            ):
                augment(labels=wrong)
        for wrong in (LABELS / 4, np.eye(4, dtype="int32")[LABELS]):
            with self.assertRaisesRegex(ValueError, "must be integers"):
                augment(labels=wrong)

    def test_smoothing(self):
        _, labels = augment(label_smoothing=0.2)
        np.testing.assert_allclose(labels, 0.8 * np.eye(4)[LABELS] + 0.05)

    def test_mixup_mixes_labels_as_it_mixes_images(self):
        images, labels = augment(mixup_alpha=0.8)
        # Each pixel is the mean of the colours, weighted by the label.
        expected = np.tile((labels @ COLOURS)[:, None, None], (1, 8, 8, 1))
        np.testing.assert_allclose(images, expected, atol=1e-5)
        np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
        self.assertGreater(np.count_nonzero(labels.max(axis=1) < 0.95), 10)

    def test_cutmix_mixes_labels_by_area(self):
        images, labels = augment(cutmix_alpha=1.0)
        own = np.all(np.isclose(images, IMAGES), axis=-1)
        self.assertGreater(np.count_nonzero(own.mean(axis=(1, 2)) < 0.95), 10)
        # Every pixel is of one of the four colours.
        distance = np.abs(images[..., None, :] - COLOURS).max(axis=-1)
        self.assertLess(distance.min(axis=-1).max(), 1e-6)
        found = np.argmin(distance, axis=-1)
        shares = np.stack(
            [(found == c).mean(axis=(1, 2)) for c in range(4)], axis=-1
        )
        # The label has the rectangle's own area; its edges fall between pixels.
        self.assertLess(np.abs(shares - labels).max(), 2 / SIDE)
        np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)

    def test_either_mixes_a_batch(self):
        blended = []
        augmentation = FineTuneAugmentation(
            4, seed=1, **{**OFF, "mixup_alpha": 1.0, "cutmix_alpha": 1.0}
        )
        batches = tf.data.Dataset.from_tensors((IMAGES, LABELS)).repeat(20)
        for images, _ in batches.apply(augmentation).as_numpy_iterator():
            distance = np.abs(images[..., None, :] - COLOURS).max(axis=-1)
            blended.append(distance.min(axis=-1).max() > 1e-3)
        self.assertGreater(sum(blended), 3)
        self.assertLess(sum(blended), 17)

    def test_erasing_has_its_rate_and_spares_labels(self):
        count = 400
        images = np.full((count, 16, 16, 3), 7.0, "float32")
        labels = np.zeros(count, "int32")
        found, after = augment(images, labels, erase_rate=0.25)
        erased = (found != 7).any(axis=-1)
        share = erased.any(axis=(1, 2)).mean()
        # Four deviations of a count of 400.
        self.assertLess(abs(share - 0.25), 0.09)
        self.assertLess(erased.mean(axis=(1, 2)).max(), 0.5)
        np.testing.assert_array_equal(after, np.eye(4)[labels])

    def test_rand_augment_distorts_within_the_range_of_pixels(self):
        pipeline = ImagePipeline((32, 32, 3), 8, seed=0)
        pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3))
        batches = pipeline.from_arrays(pixels.astype("uint8"), LABELS[:8])
        ((before, _),) = batches.take(1).as_numpy_iterator()
        after, _ = augment(before, np.zeros(8, "int32"), rand_augment=True)
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        self.assertGreaterEqual((after * std + mean).min(), -1e-5)
        self.assertLessEqual((after * std + mean).max(), 1 + 1e-5)
        changed = np.abs(after - before).max(axis=(1, 2, 3)) > 1e-3
        self.assertGreater(np.count_nonzero(changed), 1)

    def test_epochs_differ_and_can_begin_with_a_later_one(self):
        def epochs(first_epoch, count):
            augmentation = FineTuneAugmentation(
                4, rand_augment=False, seed=0, first_epoch=first_epoch
            )
            batches = tf.data.Dataset.from_tensors((IMAGES, LABELS)).repeat(3)
            batches = batches.apply(augmentation)
            self.assertEqual(len(batches), 3)
            found = []
            for _ in range(count):
                images, labels = zip(*batches.as_numpy_iterator())
                found.append((np.stack(images), np.stack(labels)))
            return found

        first, second, third = epochs(0, 3)
        self.assertGreater(np.abs(first[1] - second[1]).max(), 0.1)
        self.assertGreater(np.abs(first[1][0] - first[1][1]).max(), 0.1)
        for one, other in zip((second, third), epochs(1, 2), strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])

    def test_pixels_and_labels_keep_their_precision(self):
        policy = keras.config.dtype_policy()
        self.addCleanup(keras.config.set_dtype_policy, policy)
        plain = augment(erase_rate=0.5, mixup_alpha=0.8, cutmix_alpha=1.0)
        keras.config.set_dtype_policy("mixed_bfloat16")
        mixed = augment(erase_rate=0.5, mixup_alpha=0.8, cutmix_alpha=1.0)
        np.testing.assert_array_equal(plain[0], mixed[0])
        np.testing.assert_array_equal(plain[1], mixed[1])

    def test_the_last_batch_may_be_smaller(self):
        augmentation = FineTuneAugmentation(4)
        batches = tf.data.Dataset.from_tensor_slices((IMAGES[:9], LABELS[:9]))
        shapes = [
            (images.shape, labels.shape)
            for images, labels in batches.batch(8)
            .apply(augmentation)
            .as_numpy_iterator()
        ]
        self.assertEqual(
            shapes, [((8, 8, 8, 3), (8, 4)), ((1, 8, 8, 3), (1, 4))]
        )
