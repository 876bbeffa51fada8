import numpy as np

from keras_mim.layers import MaskToken
from tests.test_case import TestCase

TOKENS = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")
MASKED = np.array([[True, False, True, False], [False, False, True, True]])


class MaskTokenTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            MaskToken,
            {},
            inputs=[TOKENS, MASKED],
            expected_shape=(2, 4, 8),
            expected_dtype="float32",
            num_weights=1,
        )

    def test_visible_tokens_are_untouched(self):
        output = self.to_numpy(MaskToken()(TOKENS, MASKED))
        self.assertAllEqual(output[~MASKED], TOKENS[~MASKED])

    def test_masked_tokens_equal_the_learned_token(self):
        layer = MaskToken()
        output = self.to_numpy(layer(TOKENS, MASKED))
        token = self.to_numpy(layer.token)[0, 0]
        self.assertAllEqual(output[MASKED], np.tile(token, (MASKED.sum(), 1)))

    def test_an_initializer_of_ones_own(self):
        layer = MaskToken(initializer="ones")
        layer.build((2, 4, 8), (2, 4))
        self.assertAllEqual(layer.token, np.ones((1, 1, 8)))

    def test_another_initializer(self):
        layer = MaskToken(initializer="ones")
        layer = MaskToken.from_config(layer.get_config())
        layer.build((None, 4, 8), (None, 4))
        self.assertAllEqual(layer.token, np.ones((1, 1, 8)))
