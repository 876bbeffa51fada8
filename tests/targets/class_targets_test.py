import keras
import numpy as np

import keras_mim
from keras_mim.targets import ColorBinTarget
from keras_mim.targets import ColorClusterTarget
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images()
COLORS = np.random.default_rng(1).normal(size=(5, 3)).astype("float32")


def square_means(images, side):
    shape = images.shape
    cut = (-1, shape[1] // side, side, shape[2] // side, side, shape[3])
    return images.reshape(cut).mean(axis=(2, 4))


RGB = keras_mim.Normalization.for_channels(3)


class ClassTargetsTest(TestCase):
    def test_nearest_colour_of_every_square(self):
        for pool_size in (1, 2, 4):
            target = ColorClusterTarget(COLORS, pool_size, patch_size=4)
            found = self.to_numpy(target(IMAGES))
            self.assertEqual(found.dtype, "int32")
            means = square_means(IMAGES, pool_size)
            difference = means[..., None, :] - COLORS
            nearest = np.square(difference).sum(-1).argmin(-1)
            side = 4 // pool_size
            expected = keras_mim.ops.patchify(nearest[..., None], side)
            self.assertAllEqual(found, expected)
            self.assertEqual(
                target.compute_output_shape((None, 8, 12, 3)),
                (None, 6, side**2),
            )

    def test_bins_of_every_channel(self):
        pixels = np.array([[0, 0.13, 0.99], [1, 0.25, -0.2]], "float32")
        images = RGB.normalize(pixels).reshape(1, 1, 2, 3)
        found = ColorBinTarget(8, patch_size=1)(images)
        # 0.25 lies on an edge: rounding decides. 1 and beyond: the ends.
        self.assertAllEqual(found[0, 0], [0, 1, 7])
        self.assertEqual(int(found[0, 1, 0]), 7)
        self.assertEqual(int(found[0, 1, 2]), 0)
        images = np.full((1, 4, 4, 1), -0.5, "float32")  # 0.25 in [0, 1]
        found = ColorBinTarget(256, pool_size=2, patch_size=4)(images)
        self.assertAllEqual(found, np.full((1, 1, 4), 64))

    def test_to_images_of_certain_predictions(self):
        for target, colors in (
            (ColorClusterTarget(COLORS, 2, patch_size=4), COLORS),
            (ColorBinTarget(256, pool_size=2, patch_size=4), None),
        ):
            ids = self.to_numpy(target(IMAGES))
            logits = 9.0 * np.eye(target.num_classes, dtype="float32")[ids]
            prediction = logits.reshape(2, 6, -1)
            self.assertEqual(prediction.shape[-1], target.target_dim(3))
            pictures = self.to_numpy(target.to_images(prediction, IMAGES))
            self.assertEqual(pictures.shape, IMAGES.shape)
            means = square_means(pictures, 2)
            if colors is not None:
                again = np.square(means[..., None, :] - colors).sum(-1)
                expected = keras_mim.ops.unpatchify(ids, (2, 3), 2)[..., 0]
                self.assertAllEqual(again.argmin(-1), expected)
            else:
                ends = RGB.normalize(
                    np.array([[0.0] * 3, [1.0] * 3], "float32")
                )
                expected = np.clip(square_means(IMAGES, 2), *ends)
                # Half a bin, and float32's rounding.
                error = np.abs(means - expected) * np.array(RGB.std)
                self.assertLess(error.max(), 0.5 / 256 + 1e-5)

    def test_default_loss_is_the_mean_cross_entropy_of_hidden_values(self):
        encoder = tiny.vit()
        for target, values in (
            (ColorClusterTarget(COLORS, 2), 4),
            (ColorBinTarget(4, pool_size=4), 3),
        ):
            simmim = tiny.simmim(encoder, target=target)
            masked = np.array([[1, 1, 0, 0, 1, 0], [0, 1, 1, 0, 0, 1]], bool)
            output = simmim({"images": IMAGES, "masked": masked})
            loss = simmim.compute_loss(y_pred=output)
            logits = self.to_numpy(output["prediction"])
            logits = logits.reshape(2, 6, values, -1).astype("float64")
            log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            ids = self.to_numpy(output["target"])
            picked = np.take_along_axis(log, ids[..., None], -1)[..., 0]
            self.assertAllClose(loss, -picked[masked].mean(), 1e-5, 1e-6)

    def test_training_and_saving(self):
        images = tiny.clothing(8)
        encoder = tiny.vit((64, 64, 3), 8, hidden_dim=32, mlp_dim=64)
        colors = images.reshape(-1, 3)[:: len(images) * 64]
        target = ColorClusterTarget(colors, pool_size=8)
        simmim = tiny.simmim(encoder, target=target)
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        simmim.compile(keras.optimizers.Adam(3e-3), weighted_metrics=[accuracy])
        history = simmim.fit(images, epochs=4, batch_size=4, verbose=0)
        losses = history.history["loss"]
        self.assertLess(losses[-1], losses[0])
        self.assertIn("accuracy", history.history)
        path = self.temp_dir() / "model.keras"
        simmim.save(path)
        again = keras.saving.load_model(path)
        masked = self.to_numpy(simmim.masking(images))
        self.assertAllClose(
            again.reconstruct(images, masked)["pasted"],
            simmim.reconstruct(images, masked)["pasted"],
        )

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, r"colors of shape \(3,\)"):
            ColorClusterTarget([1, 2, 3])
        with self.assertRaisesRegex(ValueError, "num_bins=1"):
            ColorBinTarget(1)
        with self.assertRaisesRegex(ValueError, "each channel of the images"):
            ColorClusterTarget(COLORS, patch_size=4)(IMAGES[..., :1])
        with self.assertRaisesRegex(ValueError, "pool_size=3"):
            ColorBinTarget(8, pool_size=3, patch_size=4)(IMAGES)
