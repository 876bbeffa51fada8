import numpy as np

from keras_mim.layers import Attention
from tests import reference
from tests.test_case import TestCase

TOKENS = np.random.default_rng(0).normal(size=(2, 5, 12)).astype("float32")


class AttentionTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            Attention,
            {"num_heads": 3},
            inputs=[TOKENS],
            expected_shape=(2, 5, 12),
            expected_dtype="float32",
            num_weights=4,
        )

    def test_equals_attention_in_numpy(self):
        layer = Attention(3)
        output = layer(TOKENS)
        # Moves the biases away from zero.
        layer.set_weights([w + 0.1 for w in layer.get_weights()])
        output = layer(TOKENS)
        expected = reference.attention(TOKENS, layer.get_weights(), 3)
        self.assertAllClose(output, expected, 1e-5, 1e-5)

    def test_bias_and_no_bias_of_keys(self):
        layer = Attention(3, use_key_bias=False)
        bias = np.random.default_rng(1).normal(size=(1, 3, 5, 5))
        layer(TOKENS, bias.astype("float32"))
        self.assertEqual(len(layer.weights), 5)
        reference.randomise(layer)
        # The same without biases of queries and values: their own weights.
        w = reference.weights(layer)
        x = TOKENS @ w["query_key_value/kernel"]
        query, key, value = np.split(x, 3, axis=-1)
        query, value = query + w["query_bias"], value + w["value_bias"]
        heads = []
        for h in range(3):
            part = slice(4 * h, 4 * h + 4)
            logits = query[..., part] @ key[..., part].swapaxes(1, 2) / 2
            weights = reference.softmax(logits + bias[:, h])
            heads.append(weights @ value[..., part])
        expected = np.concatenate(heads, axis=-1) @ w["projection/kernel"]
        expected = expected + w["projection/bias"]
        output = layer(TOKENS, bias.astype("float32"))
        self.assertAllClose(output, expected, 1e-5, 1e-5)

    def test_initial_weights_are_those_of_the_fused_kernel(self):
        layer = Attention(12)
        layer.build((None, 4, 768))
        kernel, bias, out_kernel, _ = layer.get_weights()
        self.assertEqual(kernel.shape, (768, 3 * 768))
        # sqrt(6 / (768 + 2304)) and sqrt(6 / (768 + 768)).
        self.assertAllClose(np.abs(kernel).max(), 0.044194, rtol=1e-3)
        self.assertAllClose(np.abs(out_kernel).max(), 0.0625, rtol=1e-3)
        self.assertAllEqual(bias, np.zeros(2304))

    def test_one_initializer_draws_two_kernels(self):
        layer = Attention(3, kernel_initializer="random_normal")
        layer.build((None, 4, 12))
        first, _, second, _ = (w.ravel()[:144] for w in layer.get_weights())
        self.assertFalse(np.allclose(first, second))
        config = Attention.from_config(layer.get_config())
        self.assertIsNone(config.output_kernel_initializer)

    def test_float16_logits_beyond_its_range_before_scaling(self):
        # Equal tokens: the output is the value. Their product, 64 * 35 ** 2,
        # is beyond float16's 65504; an eighth of it is not.
        tokens = np.full((1, 3, 64), 35, "float16")
        layer = Attention(1, dtype="mixed_float16")
        layer.build((None, 3, 64))
        identity = np.eye(64)
        layer.query_key_value.kernel.assign(np.tile(identity, (1, 3)))
        layer.projection.kernel.assign(identity)
        self.assertAllEqual(layer(tokens), tokens)

    def test_width_not_divisible_by_heads(self):
        with self.assertRaisesRegex(ValueError, "hidden_dim=12, num_heads=5"):
            Attention(5)(TOKENS)
