import numpy as np

from keras_mim.masking import RandomMasking
from keras_mim.targets import PixelTarget
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(2, (16, 24, 3))


def means(images, side):
    """Means of squares of pixels, of the size of the images, in NumPy."""
    rows = np.add.reduceat(images, range(0, images.shape[1], side), axis=1)
    both = np.add.reduceat(rows, range(0, images.shape[2], side), axis=2)
    return both.repeat(side, axis=1).repeat(side, axis=2) / side**2


class PooledPixelsTest(TestCase):
    def test_every_resolution_is_the_mean_of_squares(self):
        # Finer than a patch of 4 pixels, as fine, and coarser.
        for pool_size, target_dim in ((1, 48), (2, 12), (4, 3), (8, 3)):
            target = PixelTarget(pool_size=pool_size, patch_size=4)
            output = target(IMAGES)
            self.assertEqual(tuple(output.shape), (2, 24, target_dim))
            self.assertEqual(target.target_dim(3), target_dim)
            self.assertEqual(
                target.compute_output_shape((None, 16, 24, 3)),
                (None, 24, target_dim),
            )
            self.assertAllClose(
                target.to_images(output, IMAGES),
                means(IMAGES, pool_size),
                1e-5,
                1e-5,
            )

    def test_order_within_a_patch(self):
        output = PixelTarget(pool_size=2, patch_size=4)(IMAGES)
        corner = IMAGES[1, 4:8, 8:12]
        squares = corner.reshape(2, 2, 2, 2, 3).mean(axis=(1, 3))
        # The third patch of the second row of six.
        self.assertAllClose(output[1, 8], squares.reshape(-1), 1e-5, 1e-6)

    def test_normalised_means(self):
        target = PixelTarget(normalize=True, pool_size=2, patch_size=4)
        output = self.to_numpy(target(IMAGES))
        corner = IMAGES[0, :4, :4].astype("float64")
        squares = corner.reshape(2, 2, 2, 2, 3).mean(axis=(1, 3)).reshape(-1)
        scale = np.sqrt(corner.var(ddof=1) + 1e-6)
        expected = (squares - corner.mean()) / scale
        self.assertAllClose(output[0, 0], expected, 1e-5, 1e-5)
        self.assertAllClose(
            target.to_images(output, IMAGES), means(IMAGES, 2), 1e-5, 1e-5
        )

    def test_coarse_target_in_a_model(self):
        simmim = tiny.simmim(
            tiny.swin((16, 16, 3), patch_size=4),
            masking=RandomMasking(0.5, mask_patch_size=8),
            target=PixelTarget(pool_size=8),
        )
        simmim.compile("adam")
        images = IMAGES[:, :, :16]
        self.assertTrue(np.isfinite(simmim.evaluate(images, verbose=0)))
        picture = simmim.reconstruct(images)["reconstruction"]
        # Patches of a square are predicted one by one unless the head shares.
        self.assertEqual(picture.shape, images.shape)

    def test_wrong_sizes(self):
        with self.assertRaisesRegex(ValueError, "Received: pool_size=0"):
            PixelTarget(pool_size=0, patch_size=4)
        for pool_size in (3, 6):
            with self.assertRaisesRegex(
                ValueError, f"Received: pool_size={pool_size}, patch_size=4"
            ):
                PixelTarget(pool_size=pool_size, patch_size=4)
        with self.assertRaisesRegex(ValueError, "something to predict"):
            PixelTarget(normalize=True, pool_size=4, patch_size=4)
        with self.assertRaisesRegex(ValueError, "pool_size=16"):
            # Squares of 16 pixels do not fill a width of 24.
            PixelTarget(pool_size=16, patch_size=4)(IMAGES)

    def test_config(self):
        config = PixelTarget(pool_size=2, patch_size=4).get_config()
        self.assertEqual(PixelTarget.from_config(config).pool_size, 2)
