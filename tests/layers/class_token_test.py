import numpy as np

from keras_mim.layers import ClassToken
from tests.test_case import TestCase

TOKENS = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")


class ClassTokenTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            ClassToken,
            {},
            inputs=[TOKENS],
            expected_shape=(2, 5, 8),
            expected_dtype="float32",
            num_weights=1,
        )

    def test_token_leads_and_the_rest_is_untouched(self):
        layer = ClassToken()
        output = self.to_numpy(layer(TOKENS))
        token = self.to_numpy(layer.token)[0, 0]
        self.assertAllEqual(output[:, 0], [token, token])
        self.assertAllEqual(output[:, 1:], TOKENS)

    def test_initial_deviation(self):
        layer = ClassToken()
        layer.build((None, 4, 4096))
        # Standard error of a deviation: .02 / sqrt(2 * 4096) = 1.1 %.
        self.assertAllClose(self.to_numpy(layer.token).std(), 0.02, rtol=0.05)

    def test_another_initializer(self):
        layer = ClassToken(initializer="ones")
        layer = ClassToken.from_config(layer.get_config())
        layer.build((None, 4, 8))
        self.assertAllEqual(layer.token, np.ones((1, 1, 8)))
