import numpy as np

from keras_mim.layers import MLPHead
from tests import reference
from tests.test_case import TestCase

TOKENS = np.random.default_rng(1).normal(size=(2, 7, 8)).astype("float32")
MASKED = np.ones((2, 24), bool)
# Behind a prefix token, six tokens for 2 x 2 patches each.
ARGUMENTS = {"target_dim": 3, "grid": (4, 6), "num_prefix_tokens": 1}


class MLPHeadTest(TestCase):
    def test_layer_basics(self):
        for hidden_dim in (None, 5):
            self.run_layer_test(
                MLPHead,
                {"hidden_dim": hidden_dim, **ARGUMENTS},
                inputs=[TOKENS, MASKED],
                expected_shape=(2, 24, 3),
                expected_dtype="float32",
                num_weights=4,
            )

    def test_equals_two_layers_in_numpy(self):
        for hidden_dim in (None, 5):
            head = MLPHead(hidden_dim, **ARGUMENTS)
            output = self.to_numpy(head(TOKENS, MASKED))
            w = reference.weights(head)
            self.assertEqual(w["hidden/kernel"].shape, (8, hidden_dim or 8))
            x = TOKENS[:, 1:] @ w["hidden/kernel"] + w["hidden/bias"]
            x = reference.gelu(x) @ w["prediction/kernel"]
            values = (x + w["prediction/bias"]).reshape(2, 2, 3, 2, 2, 3)
            for row in range(4):
                for column in range(6):
                    expected = values[
                        :, row // 2, column // 2, row % 2, column % 2
                    ]
                    patch = 6 * row + column
                    self.assertAllClose(output[:, patch], expected, 1e-5, 1e-5)

    def test_one_token_per_patch(self):
        head = MLPHead(target_dim=3, grid=(2, 3), num_prefix_tokens=1)
        output = head(TOKENS, MASKED[:, :6])
        w = reference.weights(head)
        x = TOKENS[:, 1:] @ w["hidden/kernel"] + w["hidden/bias"]
        x = reference.gelu(x) @ w["prediction/kernel"] + w["prediction/bias"]
        self.assertAllClose(output, x, 1e-5, 1e-5)

    def test_initial_weights_are_torchs_linear_default(self):
        head = MLPHead(400, target_dim=300, grid=(2, 2), num_prefix_tokens=0)
        head.build((None, 4, 200), (None, 4))
        w = reference.weights(head)
        for name, fan_in in (("hidden", 200), ("prediction", 400)):
            # 1 / sqrt(fan_in); of n uniform values, the largest comes within
            # a few times 1 / n of it: 80,000 in a kernel, 300 in a bias.
            for kind, rtol in (("kernel", 1e-3), ("bias", 4e-2)):
                largest = np.abs(w[f"{name}/{kind}"]).max()
                self.assertAllClose(largest, fan_in**-0.5, rtol=rtol, atol=0)

    def test_no_width(self):
        with self.assertRaisesRegex(ValueError, "hidden_dim=0"):
            MLPHead(0)

    def test_tokens_that_stand_for_no_square_of_patches(self):
        with self.assertRaisesRegex(ValueError, "6 tokens for a grid of"):
            MLPHead(**{**ARGUMENTS, "grid": (6, 6)}).build(
                (None, 7, 8), (None, 36)
            )
