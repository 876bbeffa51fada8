import numpy as np

from keras_mim.layers import SwinBlock
from tests import reference
from tests.layers.rematerialisation import check_remat
from tests.test_case import TestCase

# Not of seed 0: the target of `run_layer_test`'s training step is, and a block
# is close to the identity at first.
TOKENS = np.random.default_rng(1).normal(size=(2, 24, 8)).astype("float32")
ARGUMENTS = {"grid": (4, 6), "num_heads": 2, "window_size": 2, "mlp_dim": 16}


def layer_norm(x, w, name):
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return x * w[f"{name}/gamma"] + w[f"{name}/beta"]


class SwinBlockTest(TestCase):
    def test_layer_basics(self):
        for extra in ({}, {"shift_size": 1, "drop_path_rate": 0.1}):
            self.run_layer_test(
                SwinBlock,
                {**ARGUMENTS, **extra},
                inputs=[TOKENS],
                expected_shape=(2, 24, 8),
                expected_dtype="float32",
                num_weights=13,
            )

    def test_equals_its_parts_in_numpy(self):
        layer = SwinBlock(**ARGUMENTS, shift_size=1)
        layer.build((None, 24, 8))
        reference.randomise(layer)
        w = reference.weights(layer)
        # Small tokens, so that the norm's epsilon shows.
        tokens = 0.01 * TOKENS
        x = layer_norm(tokens, w, "attention_norm").reshape(2, 4, 6, 8)
        x = self.to_numpy(layer.attention(x.astype("float32")))
        expected = tokens + x.reshape(2, 24, 8)
        x = layer_norm(expected, w, "mlp_norm") @ w["mlp_in/kernel"]
        x = reference.gelu(x + w["mlp_in/bias"]) @ w["mlp_out/kernel"]
        expected = expected + x + w["mlp_out/bias"]
        self.assertAllClose(layer(tokens), expected, 1e-5, 1e-5)

    def test_drop_path_acts_in_training_only(self):
        layer = SwinBlock(**ARGUMENTS, drop_path_rate=0.5)
        plain = self.to_numpy(layer(TOKENS, training=False))
        self.assertAllEqual(layer(TOKENS, training=False), plain)
        runs = [self.to_numpy(layer(TOKENS, training=True)) for _ in range(8)]
        self.assertTrue(any((run != plain).any() for run in runs))

    def test_remat_changes_nothing_but_memory(self):
        check_remat(self, SwinBlock, {**ARGUMENTS, "shift_size": 1}, TOKENS)

    def test_wrong_number_of_tokens(self):
        with self.assertRaisesRegex(ValueError, r"grid=\(4, 6\)"):
            SwinBlock(**ARGUMENTS).build((None, 25, 8))
