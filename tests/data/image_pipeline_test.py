import io
import pathlib
import unittest

import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.data import ImagePipeline
from keras_mim.data import read_pack

tf = pytest.importorskip("tensorflow")

CLOTHING = pathlib.Path(__file__).parents[2] / "examples/data/clothing64.npz"
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (10, 12, 9, 3), "uint8")
LABELS = np.arange(10)


def batches(dataset):
    return list(dataset.as_numpy_iterator())


def unchanged(image_shape=(12, 9, 3), batch_size=4, **options):
    """A pipeline that only scales pixels to [0, 1]."""
    channels = image_shape[2]
    defaults = {
        "augment": False,
        "crop_ratio": 1.0,
        "normalization": Normalization([0] * channels, [1] * channels),
    }
    return ImagePipeline(image_shape, batch_size, **{**defaults, **options})


def tagged(count, side=8):
    """Images whose grey level tells their number."""
    return np.tile(
        np.arange(count, dtype="uint8")[:, None, None, None],
        (1, side, side, 1),
    )


def tags(dataset):
    images = np.concatenate(batches(dataset))
    return np.round(images[:, 0, 0, 0] * 255).astype("int").tolist()


class ArraysTest(unittest.TestCase):
    def test_images_of_the_target_size_come_out_unchanged(self):
        received = np.concatenate(batches(unchanged().from_arrays(IMAGES)))
        self.assertEqual(received.dtype, "float32")
        np.testing.assert_allclose(received, IMAGES / 255, rtol=1e-6)

    def test_values_of_any_range_become_0_to_1(self):
        pixels = IMAGES.astype("float64") / 255
        for images, value_range in (
            (IMAGES, None),
            (IMAGES.astype("float32"), None),
            (IMAGES.astype("float16"), (0, 255)),
            (IMAGES.astype("uint16") * 257, None),
            (IMAGES.astype("int64") * 16 - 3000, (-3000, 1080)),
            (pixels, (0, 1)),
            (10000 * pixels, (0.0, 10000.0)),
            (pixels * 2 - 1, (-1, 1)),
        ):
            with self.subTest(images.dtype, value_range=value_range):
                dataset = unchanged().from_arrays(
                    images, value_range=value_range
                )
                received = np.concatenate(batches(dataset))
                np.testing.assert_allclose(received, pixels, atol=1e-6)

    def test_levels_of_16_bits_are_kept(self):
        levels = np.arange(48, dtype="uint16").reshape(1, 4, 12, 1)
        pipeline = unchanged((4, 12, 1))
        with pytest.warns(UserWarning, match="from 0 to 47.*nearly black"):
            (received,) = batches(pipeline.from_arrays(levels))
        np.testing.assert_allclose(received, levels / 65535, rtol=1e-5)

    def test_values_beyond_the_range_are_clipped_and_said(self):
        images = IMAGES.astype("float32") * 1.5 - 60
        with pytest.warns(UserWarning, match="from -60 to 322.5; 3[0-9]% of"):
            dataset = unchanged().from_arrays(images, value_range=(0, 255))
        received = np.concatenate(batches(dataset))
        expected = np.clip(images, 0, 255) / 255
        np.testing.assert_allclose(received, expected, atol=1e-6)

    def test_wrong_ranges(self):
        pixels = IMAGES / 255
        unknown = np.where(IMAGES < 9, np.nan, IMAGES)
        for images, value_range, message in (
            (pixels, None, r"from 0 to 1, .* such as `value_range=\(0, 1\)`"),
            (IMAGES * 39.2, None, r"to 9996.*such as `value_range=\(0, 10000"),
            (IMAGES - 1.0, None, r"from -1 to 254.*`value_range=\(-1, 255\)`"),
            (unknown, None, f"Received: {(IMAGES < 9).sum()} that are NaN"),
            (unknown, (0, 255), "in image 0"),
            (IMAGES + 300.0, (0, 255), "none of them inside `value_range`"),
            (IMAGES.astype("int32"), None, "need `value_range=.*dtype int32"),
            (IMAGES > 9, (0, 1), "dtype bool"),
            (IMAGES, (255, 0), "black < white"),
            (IMAGES, 255, "black < white"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                unchanged().from_arrays(images, value_range=value_range)

    def test_pixels_are_normalized_per_channel(self):
        imagenet = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        own = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
        for normalization, (mean, std) in (
            (None, imagenet),
            (Normalization(*own), own),
        ):
            pipeline = unchanged((12, 9, 3), 10, normalization=normalization)
            (received,) = batches(pipeline.from_arrays(IMAGES))
            expected = (IMAGES / 255 - mean) / std
            np.testing.assert_allclose(received, expected, atol=1e-5)

    def test_bytes_are_rounded_pixels(self):
        options = {
            "seed": 3,
            "normalization": Normalization([0] * 3, [1 / 255] * 3),
        }
        pipeline = ImagePipeline((7, 5, 3), 10, **options)
        (pixels,) = batches(pipeline.from_arrays(IMAGES))
        # The statistics are the model's to use.
        pipeline = ImagePipeline((7, 5, 3), 10, dtype="uint8", **options)
        (received,) = batches(pipeline.from_arrays(IMAGES))
        self.assertEqual(received.dtype, "uint8")
        # The same crops, flips and order, but for the rounding.
        self.assertLess(np.abs(received - pixels).max(), 0.5 + 1e-3)

    def test_batches_and_the_remainder(self):
        dataset = unchanged().from_arrays(IMAGES)
        self.assertEqual(len(dataset), 3)
        self.assertEqual([len(b) for b in batches(dataset)], [4, 4, 2])
        dataset = unchanged(drop_remainder=True).from_arrays(IMAGES)
        self.assertEqual(len(dataset), 2)
        self.assertEqual([len(b) for b in batches(dataset)], [4, 4])
        self.assertEqual(dataset.element_spec.shape, (4, 12, 9, 3))

    def test_any_channels_and_a_non_square_target(self):
        images = RNG.uniform(0, 255, (3, 20, 30, 5))
        for augment in (True, False):
            pipeline = ImagePipeline((16, 8, 5), 3, augment)
            (received,) = batches(pipeline.from_arrays(images))
            self.assertEqual(received.shape, (3, 16, 8, 5))
            self.assertEqual(received.dtype, "float32")
            self.assertLessEqual(np.abs(received).max(), 1)

    def test_evaluation_takes_the_centre(self):
        # Black, with a white centre of 7/8 of the short side.
        images = np.zeros((1, 64, 96, 1), "uint8")
        images[:, 4:60, 20:76] = 255
        pipeline = unchanged((28, 28, 1), crop_ratio=0.875)
        (received,) = batches(pipeline.from_arrays(images))
        np.testing.assert_allclose(received, 1, rtol=1e-6)
        (received,) = batches(unchanged((28, 28, 1)).from_arrays(images))
        self.assertEqual(received[0, 0, 14, 0], 0)

    def test_crops_of_fixed_size_are_cut_out_of_the_image(self):
        image = RNG.integers(0, 256, (10, 12, 1), "uint8")
        pipeline = unchanged(
            (5, 5, 1),
            50,
            augment=True,
            crop="fixed_size",
            crop_ratio=0.5,
            flip=False,
            seed=0,
        )
        (crops,) = batches(pipeline.from_arrays(np.stack([image] * 50)))
        windows = np.lib.stride_tricks.sliding_window_view(image, (5, 5, 1))
        windows = windows.reshape(-1, 25)
        crops = np.round(crops * 255).astype("uint8").reshape(50, 25)
        places = {
            int(np.argmax((windows == crop).all(axis=1))) for crop in crops
        }
        self.assertTrue(
            all((windows == crop).all(axis=1).any() for crop in crops)
        )
        self.assertGreater(len(places), 20)

    def test_shuffled_images_without_augmentation(self):
        pipeline = unchanged(
            (8, 8, 1), 50, augment=True, crop="center", flip=False, seed=0
        )
        dataset = pipeline.from_arrays(tagged(50))
        self.assertEqual(sorted(tags(dataset)), list(range(50)))
        self.assertNotEqual(tags(dataset), list(range(50)))

    def test_labels_stay_with_their_images(self):
        for augment in (True, False):
            pipeline = unchanged((8, 8, 1), augment=augment)
            dataset = pipeline.from_arrays(tagged(50), np.arange(50))
            images, labels = zip(*batches(dataset), strict=True)
            labels = np.concatenate(labels)
            levels = np.concatenate(images)[:, 0, 0, 0] * 255
            np.testing.assert_allclose(levels, labels, atol=1e-3)
            self.assertEqual(labels.dtype, "int32")
            self.assertEqual(sorted(labels), list(range(50)))

    def test_order(self):
        images = tagged(50)
        in_order = unchanged((8, 8, 1)).from_arrays(images)
        self.assertEqual(tags(in_order), list(range(50)))
        shuffled = unchanged((8, 8, 1), augment=True).from_arrays(images)
        first, second = tags(shuffled), tags(shuffled)
        self.assertEqual(sorted(first), list(range(50)))
        self.assertNotEqual(first, list(range(50)))
        self.assertNotEqual(first, second)
        # A buffer of 5 brings no image forward by more than 4 places.
        near = unchanged((8, 8, 1), augment=True, shuffle=5)
        for place, tag in enumerate(tags(near.from_arrays(images))):
            self.assertLessEqual(tag - place, 4)

    def test_the_seed_fixes_every_epoch_and_epochs_differ(self):
        def epochs(seed):
            dataset = ImagePipeline((6, 6, 3), 10, seed=seed).from_arrays(
                IMAGES
            )
            return batches(dataset)[0], batches(dataset)[0]

        first, second = epochs(3)
        again_first, again_second = epochs(3)
        np.testing.assert_array_equal(first, again_first)
        np.testing.assert_array_equal(second, again_second)
        self.assertGreater(
            np.abs(np.sort(first, 0) - np.sort(second, 0)).max(), 0.1
        )
        self.assertGreater(np.abs(first - epochs(4)[0]).max(), 0.1)

    def test_epochs_can_begin_with_a_later_one(self):
        def epochs(first_epoch, count):
            dataset = ImagePipeline(
                (6, 6, 3), 20, seed=0, first_epoch=first_epoch
            ).from_arrays(IMAGES)
            found = []
            for _ in range(count):
                iter(dataset)  # Keras makes iterators that it does not read.
                found.append(batches(dataset)[0])
            return found

        np.testing.assert_array_equal(epochs(0, 4)[2:], epochs(2, 2))

    def test_shards_have_the_batches_of_the_whole_between_them(self):
        def epochs(batch_size, shard, augment):
            dataset = ImagePipeline(
                (8, 8, 1),
                batch_size,
                augment=augment,
                seed=0,
                drop_remainder=True,
                shard=shard,
            ).from_arrays(tagged(23), np.arange(23))
            self.assertEqual(len(dataset), 2)
            return [[x[1] for x in batches(dataset)] for _ in range(2)]

        for augment in (True, False):
            whole = epochs(10, (0, 1), augment)
            shards = [epochs(5, (i, 2), augment) for i in range(2)]
            for epoch in range(2):
                for number in range(2):
                    both = [shard[epoch][number] for shard in shards]
                    self.assertEqual(
                        sorted(np.concatenate(both)),
                        sorted(whole[epoch][number]),
                    )

    def test_half_of_the_images_are_flipped(self):
        ramp = np.tile(np.arange(0, 160, 10, dtype="uint8"), (16, 1))
        images = np.tile(ramp[None, :, :, None], (400, 1, 1, 1))
        for flip, low, high in ((True, 150, 250), (False, 0, 0)):
            pipeline = ImagePipeline((8, 8, 1), 400, flip=flip, seed=0)
            (received,) = batches(pipeline.from_arrays(images))
            flipped = (received[:, 0, 0] > received[:, 0, -1]).sum()
            # 200 expected, with a standard deviation of 10.
            self.assertTrue(low <= flipped <= high, flipped)

    def test_crops_differ_between_images(self):
        images = np.tile(IMAGES[:1], (20, 1, 1, 1))
        pipeline = ImagePipeline((6, 6, 3), 20, flip=False, seed=0)
        (received,) = batches(pipeline.from_arrays(images))
        self.assertGreater(len(np.unique(received, axis=0)), 15)

    def test_wrong_arrays(self):
        pipeline = unchanged()
        for images, labels, message in (
            (IMAGES[0], None, r"shape \(12, 9, 3\)"),
            (IMAGES[..., :2], None, r"shape \(10, 12, 9, 2\)"),
            (IMAGES[:0], None, r"shape \(0, 12, 9, 3\)"),
            (IMAGES.astype("int64"), None, "dtype int64"),
            (IMAGES, LABELS[:3], r"10 integers.*shape \(3,\)"),
            (IMAGES, LABELS / 2, "dtype float64"),
            (IMAGES, LABELS - 1, r"from 0 on. Received: -1 \(1 of 10 labels"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                pipeline.from_arrays(images, labels)


class PackTest(unittest.TestCase):
    def setUp(self):
        if not CLOTHING.exists():
            self.skipTest("The bundled images are not here.")

    def test_images_and_labels(self):
        pipeline = ImagePipeline((32, 48, 3), 64, augment=False)
        dataset = pipeline.from_pack(CLOTHING, "test", labels=True)
        images, labels = zip(*batches(dataset), strict=True)
        self.assertEqual(images[0].shape, (64, 32, 48, 3))
        expected = read_pack(CLOTHING, "test")[1]
        np.testing.assert_array_equal(np.concatenate(labels), expected)
        self.assertEqual(np.concatenate(images).shape[0], 372)
        # ImageNet's statistics take [0, 1] to about [-2.1, 2.7].
        self.assertGreater(images[0].max(), 1.5)
        self.assertLess(np.abs(np.concatenate(images)).max(), 2.7)

    def test_pixels_equal_pillow(self):
        pillow = pytest.importorskip("PIL.Image")
        data = read_pack(CLOTHING, "test")[0][0]
        dataset = unchanged((64, 64, 3)).from_pack(CLOTHING, "test")
        expected = np.asarray(pillow.open(io.BytesIO(data)).convert("RGB"))
        received = batches(dataset.take(1))[0][0]
        np.testing.assert_allclose(received, expected / 255, atol=1e-6)

    def test_interpolation_is_pillows(self):
        pillow = pytest.importorskip("PIL.Image")
        data = read_pack(CLOTHING, "test")[0][0]
        image = pillow.open(io.BytesIO(data)).convert("RGB")
        for name in ("bilinear", "bicubic"):
            pipeline = ImagePipeline(
                (32, 32, 3),
                1,
                augment=False,
                crop_ratio=1.0,
                normalization=Normalization((0, 0, 0), (1, 1, 1)),
                interpolation=name,
            )
            received = batches(pipeline.from_pack(CLOTHING, "test").take(1))
            method = getattr(pillow.Resampling, name.upper())
            expected = np.asarray(image.resize((32, 32), method)) / 255
            # Pillow rounds to whole values after each axis. Beyond that,
            # TensorFlow's bicubic kernel equals Pillow's but at the edges.
            inner = np.abs(received[0][0] - expected)[3:-3, 3:-3]
            self.assertLess(inner.max(), 1.5 / 255)

    def test_unknown_split_and_missing_file(self):
        pipeline = ImagePipeline((32, 32, 3), 8)
        with self.assertRaisesRegex(ValueError, "'train'.*split=tset"):
            pipeline.from_pack(CLOTHING, "tset")
        with self.assertRaisesRegex(ValueError, "path=nowhere.npz"):
            pipeline.from_pack("nowhere.npz")
