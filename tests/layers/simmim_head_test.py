import numpy as np

from keras_mim.layers import SimMIMHead
from tests.test_case import TestCase

TOKENS = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
MASKED = np.array([[True, False, True, False]] * 2)
ARGUMENTS = {"target_dim": 12, "grid": (2, 2), "num_prefix_tokens": 1}


class SimMIMHeadTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            SimMIMHead,
            ARGUMENTS,
            inputs=[TOKENS, MASKED],
            expected_shape=(2, 4, 12),
            expected_dtype="float32",
            num_weights=2,
        )

    def test_is_linear_in_the_patch_tokens(self):
        head = SimMIMHead(**ARGUMENTS)
        output = head(TOKENS, MASKED)
        kernel, bias = head.get_weights()
        expected = TOKENS[:, 1:] @ kernel + bias
        self.assertAllClose(output, expected, 1e-5, 1e-5)

    def test_initial_weights_are_torchs_convolution_default(self):
        head = SimMIMHead(**{**ARGUMENTS, "target_dim": 768})
        head.build((None, 5, 768), (None, 4))
        kernel, bias = head.get_weights()
        # 1 / sqrt(fan_in). A uniform draw of n comes within a few times 1 / n
        # of it; the bias has 768, so 1 % is eight times 1 / n.
        self.assertAllClose(np.abs(kernel).max(), 768**-0.5, rtol=1e-3)
        self.assertAllClose(np.abs(bias).max(), 768**-0.5, rtol=1e-2)
        self.assertGreater(np.abs(kernel[0] - bias).max(), 0.01)
