import numpy as np

from keras_mim.layers import MAEHead
from tests.test_case import TestCase

TOKENS = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")
MASKED = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0]], bool)
ARGUMENTS = {
    "hidden_dim": 16,
    "num_layers": 1,
    "num_heads": 2,
    "target_dim": 5,
    "grid": (2, 3),
    "num_prefix_tokens": 1,
}


class MAEHeadTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            MAEHead,
            ARGUMENTS,
            inputs=[TOKENS, MASKED],
            expected_shape=(2, 6, 5),
            expected_dtype="float32",
            num_weights=2 + 1 + 1 + 12 + 2 + 2,
        )

    def test_golden_parameter_count_of_the_papers_decoder(self):
        # Encoder width 768, 196 patches of 16 x 16 x 3 and the class token;
        # the fixed positions are counted.
        head = MAEHead(target_dim=768, grid=(14, 14), num_prefix_tokens=1)
        head.build((None, 50, 768), (None, 196))
        self.assertEqual(head.count_params(), 26_109_184)

    def test_prediction_depends_on_where_tokens_came_from(self):
        head = MAEHead(**ARGUMENTS)
        output = self.to_numpy(head(TOKENS, MASKED))
        other = self.to_numpy(head(TOKENS, MASKED[::-1].copy()))
        self.assertGreater(np.abs(output - other).max(), 1e-3)

    def test_width_not_divisible_by_heads(self):
        with self.assertRaisesRegex(ValueError, "hidden_dim=16, num_heads=3"):
            MAEHead(hidden_dim=16, num_heads=3)

    def test_geometry_is_needed_outside_of_a_model(self):
        for name in ("target_dim", "grid", "num_prefix_tokens"):
            with self.assertRaisesRegex(ValueError, f"{name}=None"):
                MAEHead(**{**ARGUMENTS, name: None})(TOKENS, MASKED)
