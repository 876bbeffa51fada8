import numpy as np

from keras_mim.layers import GatherVisible
from keras_mim.layers import RestoreTokens
from tests.test_case import TestCase

TOKENS = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")
MASKED = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0]], bool)


class RestoreTokensTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            RestoreTokens,
            {},
            inputs=[TOKENS, MASKED],
            expected_shape=(2, 7, 8),
            expected_dtype="float32",
            num_weights=1,
        )

    def test_tokens_return_to_their_place(self):
        layer = RestoreTokens()
        output = self.to_numpy(layer(TOKENS, MASKED))
        token = self.to_numpy(layer.token)[0, 0]
        for tokens, masked, restored in zip(TOKENS, MASKED, output):
            self.assertAllEqual(restored[0], tokens[0])
            self.assertAllEqual(restored[1:][~masked], tokens[1:])
            self.assertAllEqual(
                restored[1:][masked], np.tile(token, (masked.sum(), 1))
            )

    def test_is_the_inverse_of_gather_visible(self):
        output = RestoreTokens()(TOKENS, MASKED)
        again = GatherVisible()(output, MASKED, num_visible=2)
        self.assertAllEqual(again, TOKENS)

    def test_without_prefix_tokens(self):
        layer = RestoreTokens(num_prefix_tokens=0)
        output = self.to_numpy(layer(TOKENS[:, 1:], MASKED))
        self.assertAllEqual(output[0][~MASKED[0]], TOKENS[0, 1:])
