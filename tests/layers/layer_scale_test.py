import numpy as np

from keras_mim.layers import LayerScale
from tests.test_case import TestCase

TOKENS = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")


class LayerScaleTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            LayerScale,
            {"initial_value": 0.1},
            inputs=[TOKENS],
            expected_shape=(2, 4, 8),
            expected_dtype="float32",
            num_weights=1,
        )

    def test_multiplies_every_feature(self):
        layer = LayerScale(0.1)
        self.assertAllClose(layer(TOKENS), TOKENS * 0.1)
        layer.set_weights([np.arange(8.0)])
        self.assertAllClose(layer(TOKENS), TOKENS * np.arange(8.0))
