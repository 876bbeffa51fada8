import numpy as np

from keras_mim import MAE
from keras_mim.layers import InverseSwinHead
from keras_mim.layers import MAEHead
from keras_mim.layers import MLPHead
from keras_mim.layers import SimMIMHead
from keras_mim.masking import BlockMasking
from keras_mim.masking import GridMasking
from keras_mim.masking import RandomMasking
from keras_mim.masking import SquareMasking
from keras_mim.ops import mask_to_pixels
from tests import reference
from tests import tiny
from tests.own.stripe_masking import StripeMasking
from tests.test_case import TestCase

IMAGES = tiny.images(4)
MASKED = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0]] * 2, bool)


class MAETest(TestCase):
    def test_defaults_are_the_papers(self):
        mae = MAE(tiny.vit((64, 64, 3), 16))
        self.assertEqual(mae.masking.mask_ratio, 0.75)
        self.assertIsNone(mae.masking.mask_patch_size)
        self.assertTrue(mae.target.normalize)
        self.assertEqual(mae.head.hidden_dim, 512)
        self.assertEqual(mae.head.num_layers, 8)
        self.assertEqual(mae.head.num_heads, 16)
        self.assertEqual(mae.default_loss.name, "mean_squared_error")

    def test_equals_the_paper_in_numpy(self):
        model = tiny.mae()
        reference.randomise(model)
        self.assertAllClose(
            model.predict_patches(IMAGES, MASKED),
            reference.mae(model, IMAGES, MASKED),
            1e-5,
            1e-5,
        )

    def test_encodes_visible_tokens_only(self):
        model = tiny.mae()
        changed = IMAGES.copy()
        hidden = np.array([True, False, False, False, False, False])
        changed[:, :4, :4] += 1.0  # The first patch.
        self.assertAllEqual(
            model.predict_patches(changed, hidden),
            model.predict_patches(IMAGES, hidden),
        )
        tokens = model.encode(IMAGES, np.tile(hidden, (4, 1)), 1)
        self.assertEqual(tokens.shape, (4, 1 + 5, 8))

    def test_hidden_pixels_have_no_influence(self):
        shape = (16, 24, 3)
        images, others = tiny.images(3, shape), tiny.images(3, shape, seed=1)
        plain = {"positions": "learned", "use_class_token": False}
        for model, *maskings in (
            (
                tiny.mae(tiny.vit(shape)),
                RandomMasking(0.5, patch_size=4),
                RandomMasking(0.5, mask_patch_size=8, patch_size=4),
                BlockMasking(0.5, min_block=2, num_tries=2, patch_size=4),
                StripeMasking(patch_size=4),
                GridMasking(patch_size=4),
                SquareMasking(0.4, patch_size=4),
            ),
            (tiny.mae(tiny.vit(shape, **plain)), RandomMasking(0.5, None, 4)),
        ):
            for masking in maskings:
                masked = self.to_numpy(masking(images))
                hidden = mask_to_pixels(masked, shape)
                found, changed = (
                    model.predict_patches(x, masked)
                    for x in (images, np.where(hidden, others, images))
                )
                self.assertTrue(np.isfinite(found).all())
                self.assertAllEqual(found, changed)

    def test_encoders_that_cannot_drop_tokens(self):
        for encoder in (
            tiny.swin(),
            tiny.swin_v2(),
            tiny.vit(positions="relative"),
            tiny.vit(positions="shared_relative"),
        ):
            with self.assertRaisesRegex(
                ValueError, "any subset of its tokens.*Use SimMIM"
            ):
                MAE(encoder)

    def test_heads_that_cannot_put_tokens_back(self):
        # A quarter of the tokens could stand for four patches each, half of
        # them could not: the answer is the same.
        encoder = tiny.vit((32, 32, 3))
        for mask_ratio in (0.75, 0.5):
            for head in (SimMIMHead(), MLPHead(), InverseSwinHead(8)):
                with self.assertRaisesRegex(
                    ValueError, "must put them back, as `MAEHead` does"
                ):
                    MAE(encoder, RandomMasking(mask_ratio), head)

    def test_a_decoder_of_negative_depth(self):
        with self.assertRaisesRegex(ValueError, "num_layers=-2"):
            MAEHead(num_layers=-2)
