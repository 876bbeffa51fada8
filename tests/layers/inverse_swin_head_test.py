import keras
import numpy as np
import pytest

from keras_mim.encoders import Swin
from keras_mim.layers import InverseSwinHead
from keras_mim.layers import SwinBlock
from tests import reference
from tests.test_case import TestCase

TOKENS = np.random.default_rng(1).normal(size=(2, 7, 12)).astype("float32")
MASKED = np.ones((2, 24), bool)
# Behind a prefix token, six tokens for 2 x 2 patches each.
ARGUMENTS = {
    "hidden_dim": 8,
    "depths": (2, 1),
    "num_heads": (1, 2),
    "window_size": 2,
    "target_dim": 3,
    "grid": (4, 6),
    "num_prefix_tokens": 1,
}


def run(head, tokens, masked):
    # Compiled: op by op, JAX takes ten times as long.
    inputs = [
        keras.Input(tokens.shape[1:]),
        keras.Input(masked.shape[1:], dtype="bool"),
    ]
    model = keras.Model(inputs, head(*inputs))
    return model.predict([tokens, masked], verbose=0)


def layer_norm(x, gamma, beta):
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5) * gamma + beta


class InverseSwinHeadTest(TestCase):
    def test_layer_basics(self):
        # One stage: JAX takes long op by op. More are trained and saved in
        # the models' tests.
        arguments = {"depths": (1,), "num_heads": (2,), "grid": (2, 3)}
        self.run_layer_test(
            InverseSwinHead,
            {**ARGUMENTS, **arguments},
            inputs=[TOKENS, MASKED[:, :6]],
            expected_shape=(2, 6, 3),
            expected_dtype="float32",
            num_weights=2 + 13 + 2 + 2,
        )

    def test_one_token_per_patch_runs_the_widest_stage_only(self):
        head = InverseSwinHead(**{**ARGUMENTS, "grid": (2, 3)})
        output = run(head, TOKENS, MASKED[:, :6])
        self.assertEqual(output.shape, (2, 6, 3))
        self.assertEqual([x.name for x in head.trunk], ["stage_1_block_0"])
        self.assertEqual(head.prediction.kernel.shape, (16, 3))

    def test_equals_its_parts_in_numpy(self):
        head = InverseSwinHead(**ARGUMENTS)
        head.build((None, 7, 12), (None, 24))
        reference.randomise(head)
        w = reference.weights(head)
        self.assertEqual(
            [x.name for x in head.trunk],
            [
                "stage_1_block_0",
                "stage_0_splitting",
                "stage_0_block_0",
                "stage_0_block_1",
            ],
        )
        trunk = keras.Sequential([keras.Input((6, 16)), *head.trunk])
        x = TOKENS[:, 1:] @ w["embedding/kernel"] + w["embedding/bias"]
        x = trunk.predict(x.astype("float32"), verbose=0)
        x = layer_norm(x, w["norm/gamma"], w["norm/beta"])
        x = x @ w["prediction/kernel"] + w["prediction/bias"]
        # Float32 through three blocks of weights that are not small.
        self.assertAllClose(run(head, TOKENS, MASKED), x, 1e-4, 1e-4)

    def test_a_token_predicts_its_patches_when_windows_are_single(self):
        # Six tokens for 4 x 4 patches each, two splittings.
        head = InverseSwinHead(
            4,
            (1, 1, 1),
            (1, 1, 1),
            window_size=1,
            target_dim=3,
            grid=(8, 12),
            num_prefix_tokens=1,
        )
        head.build((None, 7, 12), (None, 96))
        reference.randomise(head)
        # One image as it is, and one with a change to each of its tokens.
        tokens = np.repeat(TOKENS[:1], 8, axis=0)
        for token in range(7):
            tokens[1 + token, token] += np.linspace(-1, 1, 12)
        output = run(head, tokens, np.ones((8, 96), bool))
        changed = np.abs(output - output[:1]).max(axis=-1) > 1e-5
        expected = np.zeros((8, 8, 12), bool)
        for token in range(6):
            row, column = 4 * (token // 3), 4 * (token % 3)
            # After the image as it is and the change to the prefix token.
            image = expected[2 + token]
            image[row : row + 4, column : column + 4] = True
        self.assertAllEqual(changed.reshape(8, 8, 12), expected)

    @pytest.mark.tensorflow_only  # Shapes are the same; JAX takes long.
    def test_stages_mirror_a_swin(self):
        depths, num_heads = (1, 2, 1), (1, 2, 4)
        encoder = Swin((32, 48, 3), 4, 8, depths, num_heads, window_size=2)
        head = InverseSwinHead(
            8,
            depths,
            num_heads,
            window_size=2,
            target_dim=48,
            grid=encoder.grid,
            num_prefix_tokens=0,
        )
        head.build(encoder.output_shape, (None, encoder.num_patches))

        def blocks(layers):
            return {
                layer.name: (
                    layer.grid,
                    layer.num_heads,
                    layer.shift_size,
                    [tuple(w.shape) for w in layer.weights],
                )
                for layer in layers
                if isinstance(layer, SwinBlock)
            }

        self.assertEqual(blocks(head.trunk), blocks(encoder.blocks))
        self.assertEqual(head.trunk[0].grid, (2, 3))
        splittings = [x for x in head.trunk if "splitting" in x.name]
        self.assertEqual(
            [x.output_grid for x in splittings],
            [x.grid for x in reversed(encoder.mergings)],
        )
        self.assertEqual(
            [x.expansion.kernel.shape for x in splittings],
            [
                x.reduction.kernel.shape[::-1]
                for x in reversed(encoder.mergings)
            ],
        )

    @pytest.mark.tensorflow_only  # Backends count alike; JAX takes long.
    def test_parameter_counts(self):
        # Those of a Swin at 224 pixels, 27,519,354 and 86,743,224, with C its
        # width: less the patch embedding's 51 C, 42 C for norms over 2 and not
        # 8 C, 4 and not 16 C, 2 and not 8 C, and 14 C for the last norm; and
        # the first and the last layer, 1025 * 8 C and 48 (C + 1).
        # Counted by one block of every stage.
        for size, expected in (("tiny", 28_300_938), ("base", 87_785_320)):
            depths = InverseSwinHead.from_size(size).depths
            head = InverseSwinHead.from_size(
                size,
                depths=(1, 1, 1, 1),
                target_dim=48,
                grid=(56, 56),
                num_prefix_tokens=0,
            )
            head.build((None, 49, 1024), (None, 56 * 56))
            count = head.count_params()
            blocks = [x for x in head.trunk if isinstance(x, SwinBlock)]
            for block, depth in zip(reversed(blocks), depths):
                count += (depth - 1) * block.count_params()
            self.assertEqual(count, expected)

    def test_initial_weights(self):
        # One stage; `PatchSplitting` has a test of its own.
        arguments = {"hidden_dim": 128, "target_dim": 300, "grid": (2, 3)}
        head = InverseSwinHead(
            **{**ARGUMENTS, **arguments, "depths": (1,), "num_heads": (2,)}
        )
        head.build((None, 7, 256), (None, 6))
        w = reference.weights(head)
        for name, values in w.items():
            if "norm/gamma" in name:
                self.assertAllEqual(values, np.ones(values.shape))
            elif name.startswith("prediction"):
                # 300 uniform values in the bias; the largest comes within a
                # few times 1 / 300 of the bound.
                largest = np.abs(values).max()
                self.assertAllClose(largest, 128**-0.5, rtol=4e-2, atol=0)
            elif name.endswith("kernel"):
                # 16,384 values and more: 3 % is five sigma.
                self.assertAllClose(values.std(), 0.02, rtol=0.03, atol=0)
            elif not name.endswith("table"):
                self.assertAllEqual(values, np.zeros(values.shape))

    def test_sizes(self):
        head = InverseSwinHead.from_size("tiny", window_size=6)
        self.assertEqual(head.depths, (2, 2, 6, 2))
        self.assertEqual(head.num_heads, (3, 6, 12, 24))
        self.assertEqual((head.hidden_dim, head.window_size), (96, 6))
        base = InverseSwinHead.from_size("base").get_config()
        base["name"] = None
        default = InverseSwinHead(name=None).get_config()
        default["name"] = None
        self.assertEqual(base, default)
        with self.assertRaisesRegex(ValueError, "size='huge'"):
            InverseSwinHead.from_size("huge")

    def test_stages_that_do_not_match(self):
        for depths, num_heads in (((), ()), ((1, 1), (1,)), ((0,), (1,))):
            with self.assertRaisesRegex(ValueError, "Received: depths="):
                InverseSwinHead(8, depths, num_heads)

    def test_tokens_that_no_splitting_reaches(self):
        for grid, side in (((6, 9), 3), ((8, 12), 4)):
            head = InverseSwinHead(**{**ARGUMENTS, "grid": grid})
            message = f"Received: {side} patches per side, depths="
            with self.assertRaisesRegex(ValueError, message):
                head.build((None, 7, 12), (None, grid[0] * grid[1]))

    def test_tokens_that_stand_for_no_square_of_patches(self):
        with self.assertRaisesRegex(ValueError, "6 tokens for a grid of"):
            InverseSwinHead(**{**ARGUMENTS, "grid": (6, 6)}).build(
                (None, 7, 12), (None, 36)
            )
