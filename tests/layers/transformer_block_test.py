import numpy as np

from keras_mim.layers import OneSigmaNormal
from keras_mim.layers import TransformerBlock
from tests import reference
from tests.test_case import TestCase

TOKENS = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")


class TransformerBlockTest(TestCase):
    def test_layer_basics(self):
        for extra, num_weights in (
            ({}, 12),
            ({"drop_path_rate": 0.1, "layer_scale": 0.1}, 14),
            ({"kernel_initializer": OneSigmaNormal(0.5), "remat": True}, 12),
        ):
            self.run_layer_test(
                TransformerBlock,
                {"num_heads": 2, "mlp_dim": 16, **extra},
                inputs=[TOKENS],
                expected_shape=(2, 5, 8),
                expected_dtype="float32",
                num_weights=num_weights,
            )

    def test_equals_a_block_in_numpy(self):
        layer = TransformerBlock(2, 16)
        layer.build((None, 5, 8))
        reference.randomise(layer)
        expected = reference.block(TOKENS, reference.weights(layer), 2)
        self.assertAllClose(layer(TOKENS), expected, 1e-5, 1e-5)

    def test_layer_scale_of_zero_is_the_identity(self):
        layer = TransformerBlock(2, 16, layer_scale=0.0)
        self.assertAllEqual(layer(TOKENS), TOKENS)

    def test_drop_path_acts_in_training_only(self):
        layer = TransformerBlock(2, 16, drop_path_rate=0.5)
        plain = self.to_numpy(layer(TOKENS, training=False))
        self.assertAllEqual(layer(TOKENS, training=False), plain)
        runs = [self.to_numpy(layer(TOKENS, training=True)) for _ in range(8)]
        self.assertTrue(any((run != plain).any() for run in runs))

    def test_kernel_initializers(self):
        layer = TransformerBlock(
            2,
            16,
            kernel_initializer=OneSigmaNormal(0.1),
            output_kernel_initializer="ones",
        )
        layer.build((None, 5, 8))
        first = (layer.attention.query_key_value, layer.mlp_in)
        starts = []
        for dense in first:
            kernel = self.to_numpy(dense.kernel)
            self.assertLessEqual(np.abs(kernel).max(), np.float32(0.1))
            self.assertGreater(kernel.std(), 0.04)
            starts.append(kernel.ravel()[:64])
        self.assertFalse(np.allclose(*starts))
        for dense in (layer.attention.projection, layer.mlp_out):
            self.assertAllEqual(dense.kernel, np.ones(dense.kernel.shape))
