import numpy as np

from keras_mim.layers import GatherVisible
from tests.test_case import TestCase

TOKENS = np.random.default_rng(0).normal(size=(2, 7, 8)).astype("float32")
MASKED = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0]], bool)


class GatherVisibleTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            GatherVisible,
            {},
            inputs=[TOKENS, MASKED],
            call_kwargs={"num_visible": 2},
            expected_shape=(2, 3, 8),
            expected_dtype="float32",
            num_weights=0,
        )

    def test_keeps_prefix_and_visible_tokens_in_order(self):
        output = self.to_numpy(GatherVisible()(TOKENS, MASKED, num_visible=2))
        for tokens, masked, kept in zip(TOKENS, MASKED, output):
            self.assertAllEqual(kept[0], tokens[0])
            self.assertAllEqual(kept[1:], tokens[1:][~masked])

    def test_without_prefix_tokens(self):
        layer = GatherVisible(num_prefix_tokens=0)
        output = self.to_numpy(layer(TOKENS[:, 1:], MASKED, num_visible=2))
        self.assertAllEqual(output[0], TOKENS[0, 1:][~MASKED[0]])

    def test_tokens_that_do_not_match_the_mask(self):
        with self.assertRaisesRegex(ValueError, r"\(2, 6, 8\)"):
            GatherVisible()(TOKENS[:, 1:], MASKED, num_visible=2)
