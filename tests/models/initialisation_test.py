"""Every weight of MAE and SimMIM starts as it must: see the rules."""

import keras
import numpy as np

import keras_mim
from keras_mim import layers
from keras_mim import ops
from keras_mim.encoders import ViT
from tests.models.initialisation_rules import MAE_RULES
from tests.models.initialisation_rules import ONE
from tests.models.initialisation_rules import SIMMIM_RULES
from tests.models.initialisation_rules import ZERO
from tests.models.initialisation_rules import check_weight
from tests.models.initialisation_rules import check_weights
from tests.models.initialisation_rules import normal
from tests.test_case import TestCase


def weights_of(model):
    weights = {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}
    if len(weights) != len(model.weights):
        raise AssertionError("weights share a path")
    return weights


def make_encoder():
    return ViT.from_size("base", (224, 224, 3), 16, num_layers=2)


def make_mae():
    return keras_mim.MAE(make_encoder(), head=layers.MAEHead(num_layers=2))


def make_simmim():
    return keras_mim.SimMIM(make_encoder())


class InitialisationTest(TestCase):
    def test_every_weight_of_mae(self):
        check_weights(weights_of(make_mae()), MAE_RULES)

    def test_every_weight_of_simmim(self):
        check_weights(weights_of(make_simmim()), SIMMIM_RULES)

    def test_tokens_over_many_seeds(self):
        for cls, arguments in (
            (layers.ClassToken, [(None, 196, 768)]),
            (layers.MaskToken, [(None, 196, 768), (None, 196)]),
            (layers.RestoreTokens, [(None, 50, 768), (None, 196)]),
        ):
            tokens = []
            for seed in range(40):
                keras.utils.set_random_seed(seed)
                layer = cls()
                layer.build(*arguments)
                tokens.append(self.to_numpy(layer.token))
            # 30,720 values: the deviation within 2 %.
            normal(0.02)(np.stack(tokens).astype("float64"))


def draw(initializer, *shape):
    return keras.ops.convert_to_numpy(initializer(shape))


def wrong_weights():
    """Returns (rules, path, values) of initialisations that are not ours."""
    glorot = keras.initializers.GlorotUniform(seed=0)
    he = keras.initializers.HeUniform(seed=0)
    truncated = keras.initializers.TruncatedNormal(stddev=0.02, seed=0)
    plain_normal = keras.initializers.RandomNormal(stddev=0.02, seed=0)
    # PyTorch's default for kernel and bias behind 768 features.
    torch_default = keras.initializers.RandomUniform(
        -(768**-0.5), 768**-0.5, seed=0
    )
    wide = keras.initializers.RandomUniform(-0.0346, 0.0346, seed=0)

    patches = "patch_embedding/projection/"
    token = "position_embedding/class_token/token"
    attention = "block_1/attention/"
    head = "mae/mae_head/"
    for path, values in (
        # As a convolution's kernel, by Keras: fans of 16 x 16 times as much.
        (
            patches + "kernel",
            draw(glorot, 16, 16, 3, 768).reshape(768, 768),
        ),
        (patches + "kernel", draw(he, 768, 768)),
        (patches + "kernel", draw(truncated, 768, 768)),
        (patches + "kernel", draw(torch_default, 768, 768)),
        # One per cent too much.
        (patches + "kernel", draw(glorot, 768, 768) * 1.01),
        # The right values in the wrong shape.
        (patches + "kernel", draw(glorot, 768, 768).reshape(16, 16, 3, 768)),
        (patches + "bias", np.zeros(768)),
        (patches + "bias", draw(glorot, 768)),
        (patches + "bias", np.abs(draw(torch_default, 768))),
        # Three kernels with fans of their own, and as `MultiHeadAttention`
        # has them.
        (
            attention + "query_key_value/kernel",
            np.concatenate([draw(glorot, 768, 768)] * 3, axis=1),
        ),
        (
            attention + "query_key_value/kernel",
            np.concatenate(
                [draw(glorot, 768, 12, 64).reshape(768, 768)] * 3, axis=1
            ),
        ),
        (attention + "query_key_value/bias", draw(torch_default, 2304)),
        (attention + "projection/kernel", draw(he, 768, 768)),
        (attention + "projection/bias", np.full(768, 1e-6)),
        ("block_0/mlp_in/kernel", draw(he, 768, 3072)),
        ("block_0/mlp_in/kernel", draw(glorot, 768, 3072) + 1e-4),
        ("block_0/mlp_out/kernel", draw(he, 3072, 768)),
        ("block_0/mlp_norm/gamma", np.zeros(768)),
        ("block_0/mlp_norm/beta", np.ones(768)),
        ("norm/gamma", np.full(768, 1.001)),
        (token, np.zeros((1, 1, 768))),
        (token, draw(truncated, 1, 1, 768)),
        (token, draw(wide, 1, 1, 768)),
        (token, draw(plain_normal, 1, 1, 768) * 1.25),
        (token, draw(plain_normal, 1, 1, 768) + 0.01),
        # The decoder's linear layers left at PyTorch's default.
        (head + "embedding/kernel", draw(torch_default, 768, 512)),
        (head + "embedding/bias", draw(torch_default, 512)),
        (head + "prediction/kernel", draw(he, 512, 768)),
        (head + "restore_tokens/token", draw(truncated, 1, 1, 512)),
    ):
        yield MAE_RULES, path, values

    table = ops.sine_cosine_positions((14, 14), 768, 1)[None]
    rows_first = np.concatenate([table[..., 384:], table[..., :384]], axis=-1)
    for values in (
        rows_first,
        draw(plain_normal, *table.shape),
        np.roll(table, 1, axis=1),
        table + 1e-6,
    ):
        yield MAE_RULES, "position_embedding/positions/table", values

    head = "sim_mim/sim_mim_head/prediction/"
    for path, values in (
        (head + "kernel", draw(glorot, 768, 768)),
        (head + "bias", np.zeros(768)),
        ("sim_mim/mask_token/token", np.zeros((1, 1, 768))),
        ("sim_mim/mask_token/token", draw(truncated, 1, 1, 768)),
    ):
        yield SIMMIM_RULES, path, values


class WrongInitialisationTest(TestCase):
    def test_a_wrong_initialiser_is_noticed(self):
        for rules, path, values in wrong_weights():
            with self.assertRaisesRegex(AssertionError, f"^{path}: "):
                check_weight(path, values, rules)

    def test_a_wrong_initialiser_in_a_model_is_noticed(self):
        model = make_mae()
        for layer in (model.head.prediction, model.encoder.blocks[1].mlp_in):
            kernel = layer.kernel
            right = self.to_numpy(kernel).copy()
            kernel.assign(keras.initializers.HeUniform(seed=0)(kernel.shape))
            with self.assertRaisesRegex(AssertionError, f"^{kernel.path}: "):
                check_weights(weights_of(model), MAE_RULES)
            kernel.assign(right)
        check_weights(weights_of(model), MAE_RULES)

    def test_the_same_values_twice_are_noticed(self):
        model = make_mae()
        first, second = (block.mlp_in.kernel for block in model.encoder.blocks)
        second.assign(first)
        with self.assertRaisesRegex(AssertionError, "the same random values"):
            check_weights(weights_of(model), MAE_RULES)

    def test_a_weight_without_a_rule_is_noticed(self):
        model = keras_mim.MAE(
            ViT.from_size(
                "base", (224, 224, 3), 16, num_layers=1, layer_scale=0.1
            )
        )
        with self.assertRaisesRegex(AssertionError, "scale/gamma has 0 rules"):
            check_weights(weights_of(model), MAE_RULES)

    def test_a_rule_without_a_weight_is_noticed(self):
        weights = {"norm/beta": np.zeros(768)}
        rules = [("norm/beta", (768,), ZERO), ("norm/gamma", (768,), ONE)]
        with self.assertRaisesRegex(AssertionError, r"weight: \['norm/gamma'"):
            check_weights(weights, rules)

    def test_two_rules_for_a_weight_are_noticed(self):
        rules = [("norm/beta", (768,), ZERO), ("norm/.*", (768,), ZERO)]
        with self.assertRaisesRegex(AssertionError, "has 2 rules"):
            check_weights({"norm/beta": np.zeros(768)}, rules)
