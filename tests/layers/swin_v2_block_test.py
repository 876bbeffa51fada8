from keras_mim.layers import SwinV2Block
from tests import reference
from tests.layers.rematerialisation import check_remat
from tests.layers.swin_block_test import ARGUMENTS
from tests.layers.swin_block_test import TOKENS
from tests.layers.swin_block_test import layer_norm
from tests.test_case import TestCase


class SwinV2BlockTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            SwinV2Block,
            {
                **ARGUMENTS,
                "shift_size": 1,
                "drop_path_rate": 0.1,
                "remat": True,
                "pretrained_window_size": 3,
                "use_extra_norm": True,
            },
            inputs=[TOKENS],
            expected_shape=(2, 24, 8),
            expected_dtype="float32",
            num_weights=19,
            # The norms of the branches start at zero, and let no gradient
            # through.
            prepare=reference.randomise,
        )

    def test_starts_as_the_identity(self):
        self.assertAllEqual(SwinV2Block(**ARGUMENTS)(TOKENS), TOKENS)

    def test_equals_its_parts_in_numpy(self):
        layer = SwinV2Block(**ARGUMENTS, shift_size=1, use_extra_norm=True)
        layer.build((None, 24, 8))
        reference.randomise(layer)
        w = reference.weights(layer)
        x = self.to_numpy(layer.attention(TOKENS.reshape(2, 4, 6, 8)))
        x = layer_norm(x.reshape(2, 24, 8), w, "attention_norm")
        tokens = TOKENS + x
        x = reference.gelu(tokens @ w["mlp_in/kernel"] + w["mlp_in/bias"])
        x = x @ w["mlp_out/kernel"] + w["mlp_out/bias"]
        tokens = tokens + layer_norm(x, w, "mlp_norm")
        expected = layer_norm(tokens, w, "extra_norm")
        self.assertAllClose(layer(TOKENS), expected, 1e-5, 1e-5)

    def test_remat_changes_nothing_but_memory(self):
        check_remat(self, SwinV2Block, {**ARGUMENTS, "shift_size": 1}, TOKENS)

    def test_wrong_number_of_tokens(self):
        with self.assertRaisesRegex(ValueError, r"grid=\(4, 6\)"):
            SwinV2Block(**ARGUMENTS).build((None, 25, 8))
