"""Every weight of Swin, v1 and v2, starts as in Microsoft's code."""

import keras
import numpy as np

from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2
from tests.models.initialisation_rules import ONE
from tests.models.initialisation_rules import ZERO
from tests.models.initialisation_rules import check_weight
from tests.models.initialisation_rules import check_weights
from tests.models.initialisation_rules import constant
from tests.models.initialisation_rules import normal
from tests.models.initialisation_rules import torch_convolution
from tests.models.initialisation_test import draw
from tests.models.initialisation_test import weights_of
from tests.test_case import TestCase

# The base size, cut after the first block of the second stage.
SHORT = {"depths": (2, 1), "num_heads": (4, 8)}
PATCH_DIM = 4 * 4 * 3

# `trunc_normal_` of 0.02 cuts at -2 and 2: not at all.
LINEAR = normal(0.02)


def make(cls, **arguments):
    return cls.from_size("base", (56, 56, 3), **SHORT, **arguments)


def common_rules():
    """What both start alike with: (path, shape, check)."""
    rules = [
        # Convolutions keep PyTorch's default: for 48 values in, the bound is
        # 0.144; Xavier's would be 0.185.
        (
            "patch_embedding/patches/projection/kernel",
            (PATCH_DIM, 128),
            torch_convolution(PATCH_DIM),
        ),
        (
            "patch_embedding/patches/projection/bias",
            (128,),
            torch_convolution(PATCH_DIM),
        ),
        ("patch_embedding/norm/gamma", (128,), ONE),
        ("patch_embedding/norm/beta", (128,), ZERO),
        ("stage_0_merging/reduction/kernel", (512, 256), LINEAR),
        ("norm/gamma", (256,), ONE),
        ("norm/beta", (256,), ZERO),
    ]
    for stage, dim in ((0, 128), (1, 256)):
        block = rf"stage_{stage}_block_\d/"
        attention = block + "attention/"
        rules += [
            (attention + "query_key_value/kernel", (dim, 3 * dim), LINEAR),
            (attention + "projection/kernel", (dim, dim), LINEAR),
            (attention + "projection/bias", (dim,), ZERO),
            (block + "mlp_in/kernel", (dim, 4 * dim), LINEAR),
            (block + "mlp_in/bias", (4 * dim,), ZERO),
            (block + "mlp_out/kernel", (4 * dim, dim), LINEAR),
            (block + "mlp_out/bias", (dim,), ZERO),
            (block + "(attention|mlp)_norm/beta", (dim,), ZERO),
        ]
    return rules


def rules_of_v1():
    rules = common_rules()
    for stage, dim, heads in ((0, 128, 4), (1, 256, 8)):
        block = rf"stage_{stage}_block_\d/"
        attention = block + "attention/"
        rules += [
            (attention + "query_key_value/bias", (3 * dim,), ZERO),
            (attention + "table", (13**2, heads), LINEAR),
            (block + "(attention|mlp)_norm/gamma", (dim,), ONE),
        ]
    return [
        *rules,
        ("stage_0_merging/norm/gamma", (512,), ONE),
        ("stage_0_merging/norm/beta", (512,), ZERO),
    ]


def rules_of_v2():
    rules = common_rules()
    for stage, dim, heads in ((0, 128, 4), (1, 256, 8)):
        block = rf"stage_{stage}_block_\d/"
        attention = block + "attention/"
        rules += [
            (attention + "(query|value)_bias", (dim,), ZERO),
            (
                attention + "logit_scale",
                (heads,),
                constant(np.float32(np.log(10))),
            ),
            (attention + "position_in/kernel", (2, 512), LINEAR),
            (attention + "position_in/bias", (512,), ZERO),
            (attention + "position_out/kernel", (512, heads), LINEAR),
            # Blocks start as the identity.
            (block + "(attention|mlp)_norm/gamma", (dim,), ZERO),
        ]
    return [
        *rules,
        ("stage_0_merging/norm/gamma", (256,), ONE),
        ("stage_0_merging/norm/beta", (256,), ZERO),
        ("stage_0_block_1/extra_norm/gamma", (128,), ONE),
        ("stage_0_block_1/extra_norm/beta", (128,), ZERO),
    ]


class SwinInitialisationTest(TestCase):
    def test_every_weight_of_swin(self):
        check_weights(weights_of(make(Swin)), rules_of_v1())

    def test_every_weight_of_swin_v2(self):
        model = make(SwinV2, extra_norm_every=2)
        check_weights(weights_of(model), rules_of_v2())

    def test_a_wrong_initialiser_is_noticed(self):
        glorot = keras.initializers.GlorotUniform(seed=0)
        he = keras.initializers.HeUniform(seed=0)
        patches = "patch_embedding/patches/projection/kernel"
        attention = "stage_1_block_0/attention/"
        for rules, path, values in (
            (rules_of_v1(), patches, draw(glorot, PATCH_DIM, 128)),
            (rules_of_v2(), patches, draw(he, PATCH_DIM, 128)),
            (
                rules_of_v1(),
                attention + "projection/kernel",
                draw(glorot, 256, 256),
            ),
            (
                rules_of_v2(),
                attention + "position_in/kernel",
                draw(glorot, 2, 512),
            ),
            (rules_of_v2(), attention + "logit_scale", np.full(8, 10.0)),
            (rules_of_v2(), "stage_0_block_0/mlp_norm/gamma", np.ones(128)),
        ):
            with self.assertRaisesRegex(AssertionError, f"^{path}: "):
                check_weight(path, values, rules)
