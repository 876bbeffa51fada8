import keras
import numpy as np
import pytest

from keras_mim.ops import _on_jax
from keras_mim.ops import normalize_tokens
from tests import tiny
from tests.test_case import TestCase

EPSILON = 1e-6


class NormalizeTokensTest(TestCase):
    def test_is_keras_layer_normalization(self):
        tokens, gamma = 3 + tiny.normal(2, 5, 16), tiny.normal(16, seed=1)
        beta = tiny.normal(16, seed=2)
        mean = tokens.mean(-1, keepdims=True)
        variance = tokens.var(-1, keepdims=True)
        expected = (tokens - mean) / np.sqrt(variance + EPSILON) * gamma + beta
        found = normalize_tokens(tokens, gamma, beta, EPSILON)
        self.assertAllClose(found, expected, 1e-5, 1e-5)

    @pytest.mark.jax_only
    def test_the_form_for_gpus_is_the_same_to_half_precision(self):
        import jax

        gamma, beta = 1 + tiny.normal(32), tiny.normal(32, seed=1)
        cotangent = tiny.normal(4, 6, 32, seed=2)
        for dtype, limit in (("bfloat16", 2**-7), ("float16", 2**-10)):
            # Far from the mean zero, and constant: a variance of zero.
            tokens = 5 + tiny.normal(4, 6, 32, seed=3)
            tokens[0, 0] = 7
            tokens = jax.numpy.asarray(tokens, dtype)

            def run(function, *arguments):
                output, back = jax.vjp(function, *arguments)
                return output, back(cotangent.astype(output.dtype))

            def keras_norm(x, gamma, beta):
                return keras.ops.layer_normalization(
                    x, gamma, beta, -1, EPSILON
                )

            def ours(x, gamma, beta):
                return _on_jax.normalize(x, gamma, beta, EPSILON)

            found = run(ours, tokens, gamma, beta)
            expected = run(keras_norm, tokens, gamma, beta)
            for a, b in zip(
                jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
            ):
                self.assertEqual(a.dtype, b.dtype)
                a, b = (np.asarray(x, "float32") for x in (a, b))
                self.assertAllClose(a, b, limit, limit * abs(b).max())
