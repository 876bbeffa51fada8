import keras
import numpy as np

from keras_mim.layers import RelativePositionBias
from tests.test_case import TestCase

TOKENS = np.zeros((2, 7, 8), "float32")


class RelativePositionBiasTest(TestCase):
    def test_output(self):
        layer = RelativePositionBias((2, 3), num_heads=4)
        self.assertEqual(tuple(layer(TOKENS).shape), (1, 4, 7, 7))
        self.assertEqual(layer.table.shape, (3 * 5 + 3, 4))
        self.assertAllEqual(layer.table, np.zeros((18, 4)))

    def test_configuration_and_symbolic_call(self):
        layer = RelativePositionBias((2, 3), 4, num_prefix_tokens=0)
        again = RelativePositionBias.from_config(layer.get_config())
        output = again(keras.Input((6, 8)))
        self.assertEqual(output.shape, (1, 4, 6, 6))

    def test_looks_the_table_up(self):
        layer = RelativePositionBias((2, 2), 3)
        layer.build((None, 5, 8))
        table = np.arange(36.0).reshape(12, 3)
        layer.table.assign(table)
        bias = self.to_numpy(layer(TOKENS[:, :5]))
        # Query: the first patch; key: the one below it, one row up from it.
        self.assertAllEqual(bias[0, :, 1, 3], table[1])
        self.assertAllEqual(bias[0, :, 0, 2], table[9])
        self.assertAllEqual(bias[0, :, 2, 0], table[10])

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "num_prefix_tokens=2"):
            RelativePositionBias((2, 3), 4, num_prefix_tokens=2)
        with self.assertRaisesRegex(ValueError, r"need all tokens .* 7"):
            RelativePositionBias((2, 3), 4)(TOKENS[:, :4])
