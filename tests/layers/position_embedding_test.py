import numpy as np

from keras_mim import ops
from keras_mim.layers import PositionEmbedding
from tests.test_case import TestCase

TOKENS = np.random.default_rng(0).normal(size=(2, 7, 8)).astype("float32")


class PositionEmbeddingTest(TestCase):
    def test_layer_basics(self):
        for kind in ("sine_cosine", "learned"):
            self.run_layer_test(
                PositionEmbedding,
                {"grid": (2, 3), "kind": kind},
                inputs=[TOKENS],
                expected_shape=(2, 7, 8),
                expected_dtype="float32",
                num_weights=1,
            )

    def test_fixed_positions_are_the_table(self):
        layer = PositionEmbedding((2, 3))
        output = layer(TOKENS)
        table = ops.sine_cosine_positions((2, 3), 8, num_prefix_tokens=1)
        self.assertAllClose(output, TOKENS + table)
        self.assertEqual(len(layer.trainable_weights), 0)

    def test_learned_positions_are_trainable(self):
        layer = PositionEmbedding((2, 3), "learned")
        layer(TOKENS)
        self.assertEqual(len(layer.trainable_weights), 1)

    def test_another_initializer_is_for_learned_positions(self):
        for kind, equal in (("learned", True), ("sine_cosine", False)):
            layer = PositionEmbedding((2, 3), kind, initializer="ones")
            layer = PositionEmbedding.from_config(layer.get_config())
            layer.build((None, 7, 8))
            self.assertEqual(np.all(self.to_numpy(layer.table) == 1), equal)

    def test_unknown_kind(self):
        with self.assertRaisesRegex(ValueError, "kind='rotary'"):
            PositionEmbedding((2, 3), "rotary")

    def test_tokens_that_do_not_fit_the_grid(self):
        with self.assertRaisesRegex(ValueError, r"\(2, 7, 8\), grid=\(2, 2\)"):
            PositionEmbedding((2, 2))(TOKENS)

    def test_hidden_dim_not_divisible_by_four(self):
        with self.assertRaisesRegex(ValueError, "hidden_dim=6"):
            PositionEmbedding((2, 3))(np.zeros((1, 7, 6), "float32"))
