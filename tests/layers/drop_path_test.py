import numpy as np

from keras_mim.layers import DropPath
from tests.test_case import TestCase

TOKENS = np.ones((400, 3, 2), "float32")


class DropPathTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            DropPath,
            {"rate": 0.2, "seed": 0},
            inputs=[TOKENS],
            expected_shape=(400, 3, 2),
            expected_dtype="float32",
            num_weights=0,
        )

    def test_nothing_is_dropped_at_inference(self):
        self.assertAllEqual(DropPath(0.9)(TOKENS, training=False), TOKENS)

    def test_drops_whole_images_and_scales_the_rest(self):
        output = DropPath(0.25, seed=0)(TOKENS, training=True)
        output = self.to_numpy(output).reshape(400, -1)
        kept = output[:, 0] > 0
        self.assertAllEqual(output[~kept], np.zeros_like(output[~kept]))
        self.assertAllClose(output[kept], np.full((kept.sum(), 6), 4 / 3))
        # Standard error sqrt(.25 * .75 / 400) = .022: four of them.
        self.assertAllClose(kept.mean(), 0.75, rtol=0, atol=0.09)
