"""A masking's two streams, and what models make sure of."""

import numpy as np
from keras import ops

from keras_mim.masking import Masking
from keras_mim.masking import RandomMasking
from tests import tiny
from tests.own.stripe_masking import StripeMasking
from tests.test_case import TestCase

IMAGES = tiny.images(4)


class FirstPatches(Masking):
    """Hides the first patches: `hides` of them, and one more if it is bright.

    `says` is what it says.
    """

    def __init__(self, says, hides, dtype="bool"):
        super().__init__()
        self.says, self.hides, self.kind = says, hides, dtype

    def num_masked(self, grid):
        return self.says

    def call(self, images):
        places = ops.arange(self.grid[0] * self.grid[1], dtype="int32")
        bright = ops.cast(images[:, :1, 0, 0] > 100, "int32")
        return ops.cast(places[None] < bright + self.hides, self.kind)


class MaskingTest(TestCase):
    def test_training_and_evaluation_have_a_stream_each(self):
        def make():
            masking = RandomMasking(0.5, patch_size=4, seed=3)
            masking.build(IMAGES.shape)
            return masking

        masking, other = make(), make()
        expected = [self.to_numpy(other(IMAGES)) for _ in range(3)]
        self.assertTrue((expected[0] != expected[1]).any())

        def check(training, number):
            masked = masking.draw(IMAGES, training)
            self.assertAllEqual(masked, expected[number])

        check(True, 0)
        check(False, 0)
        check(False, 1)
        check(True, 1)
        masking.begin_evaluation()
        check(False, 0)
        check(True, 2)

    def test_a_model_tries_its_masking(self):
        message = r"`num_masked` of `FirstPatches` .*Received: 4, .*hide 3"
        for masking, message in (
            (FirstPatches(4, 3), message),
            (FirstPatches(3.0, 3), "as an int. Received: 3.0"),
            (FirstPatches(6, 6), "`FirstPatches` draws wrong .* 6 of 6"),
            (FirstPatches(3, 3, "int32"), "must be boolean.*dtype int32"),
        ):
            for make in (tiny.mae, tiny.simmim):
                with self.assertRaisesRegex(ValueError, message):
                    make(masking=masking)
        # Without drawing from training's stream.
        model = tiny.mae(masking=RandomMasking(0.5, seed=3))
        self.assertAllEqual(model.masking.seed_generator.state, [3, 0])
        tiny.mae(masking=StripeMasking())

    def test_a_count_that_is_wrong_later(self):
        model = tiny.mae(masking=FirstPatches(3, 3))
        images = IMAGES.copy()
        # Of these, MAE's encoder sees the fourth, which is hidden.
        images[1:3, 0, 0] = 200
        wrong = np.isnan(self.to_numpy(model(images)["prediction"]))
        self.assertAllEqual(wrong.any(axis=(1, 2)), [0, 1, 1, 0])
        self.assertAllEqual(wrong.all(axis=(1, 2)), [0, 1, 1, 0])
