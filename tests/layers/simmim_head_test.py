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

    def test_more_tokens_than_patches(self):
        for num_tokens in (0, 5):
            head = SimMIMHead(target_dim=3, grid=(2, 2), num_prefix_tokens=0)
            with self.assertRaisesRegex(ValueError, f"{num_tokens} tokens for"):
                head.build((None, num_tokens, 8), (None, 4))

    def test_patches_that_share_a_prediction(self):
        # Two tokens, each for 4 x 4 patches, in squares of 1, 2 and 4.
        tokens = TOKENS[:, :2]
        masked = np.ones((2, 32), bool)
        for side in (1, 2, 4):
            head = SimMIMHead(
                side, target_dim=3, grid=(4, 8), num_prefix_tokens=0
            )
            output = self.to_numpy(head(tokens, masked))
            kernel, bias = head.get_weights()
            self.assertEqual(kernel.shape, (8, 3 * (4 // side) ** 2))
            shape = (2, 2, 4 // side, 4 // side, 3)
            values = (tokens @ kernel + bias).reshape(shape)
            for row in range(4):
                for column in range(8):
                    token, inside = divmod(column, 4)
                    expected = values[:, token, row // side, inside // side]
                    patch = 8 * row + column
                    self.assertAllClose(output[:, patch], expected, 1e-5, 1e-5)

    def test_layer_basics_of_shared_predictions(self):
        for side in (2, 4):
            self.run_layer_test(
                SimMIMHead,
                {
                    "prediction_side": side,
                    "target_dim": 3,
                    "grid": (4, 8),
                    "num_prefix_tokens": 3,
                },
                inputs=[TOKENS, np.ones((2, 32), bool)],
                expected_shape=(2, 32, 3),
                expected_dtype="float32",
                num_weights=2,
            )

    def test_predictions_that_do_not_fit_a_token(self):
        # Squares must lie inside a token: not three patches, nor eight.
        for side in (3, 8):
            head = SimMIMHead(
                side, target_dim=3, grid=(4, 8), num_prefix_tokens=0
            )
            message = f"stands for, 4. Received: prediction_side={side}"
            with self.assertRaisesRegex(ValueError, message):
                head.build((None, 2, 8), (None, 32))
        with self.assertRaisesRegex(ValueError, "prediction_side=0"):
            SimMIMHead(0)

    def test_initial_weights_are_torchs_convolution_default(self):
        head = SimMIMHead(**{**ARGUMENTS, "target_dim": 768})
        head.build((None, 5, 768), (None, 4))
        kernel, bias = head.get_weights()
        # 1 / sqrt(fan_in). A uniform draw of n comes within a few times 1 / n
        # of it; the bias has 768, so 1 % is eight times 1 / n.
        self.assertAllClose(np.abs(kernel).max(), 768**-0.5, rtol=1e-3)
        self.assertAllClose(np.abs(bias).max(), 768**-0.5, rtol=1e-2)
        self.assertGreater(np.abs(kernel[0] - bias).max(), 0.01)
