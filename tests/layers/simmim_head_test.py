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

    def test_tokens_that_stand_for_several_patches(self):
        # Six tokens, each for 2 x 2 of the patches of a grid of 4 x 6.
        head = SimMIMHead(target_dim=3, grid=(4, 6), num_prefix_tokens=0)
        tokens = np.random.default_rng(1).normal(size=(2, 6, 8))
        tokens = tokens.astype("float32")
        output = self.to_numpy(head(tokens, np.ones((2, 24), bool)))
        kernel, bias = head.get_weights()
        for token in range(6):
            values = (tokens[:, token] @ kernel + bias).reshape(2, 2, 2, 3)
            row, column = 2 * (token // 3), 2 * (token % 3)
            for i in range(2):
                for j in range(2):
                    patch = (row + i) * 6 + column + j
                    self.assertAllClose(
                        output[:, patch], values[:, i, j], 1e-5, 1e-5
                    )

    def test_tokens_that_stand_for_no_square_of_patches(self):
        for num_tokens, grid in ((12, (4, 6)), (5, (4, 6)), (3, (1, 12))):
            head = SimMIMHead(target_dim=3, grid=grid, num_prefix_tokens=0)
            masked = np.ones((2, grid[0] * grid[1]), bool)
            message = f"{num_tokens} tokens for a grid of"
            with self.assertRaisesRegex(ValueError, message):
                head(np.ones((2, num_tokens, 8), "float32"), masked)

    def test_initial_weights_are_torchs_convolution_default(self):
        head = SimMIMHead(**{**ARGUMENTS, "target_dim": 768})
        head.build((None, 5, 768), (None, 4))
        kernel, bias = head.get_weights()
        # 1 / sqrt(fan_in). A uniform draw of n comes within a few times 1 / n
        # of it; the bias has 768, so 1 % is eight times 1 / n.
        self.assertAllClose(np.abs(kernel).max(), 768**-0.5, rtol=1e-3)
        self.assertAllClose(np.abs(bias).max(), 768**-0.5, rtol=1e-2)
        self.assertGreater(np.abs(kernel[0] - bias).max(), 0.01)
