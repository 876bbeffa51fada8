"""Every weight of SimMIM on its own ViT, which is BEiT's: see the rules."""

import keras
import numpy as np

import keras_mim
from keras_mim import layers
from keras_mim.encoders import ViT
from tests.models.initialisation_rules import ONE
from tests.models.initialisation_rules import ZERO
from tests.models.initialisation_rules import check_deviation
from tests.models.initialisation_rules import check_weight
from tests.models.initialisation_rules import check_weights
from tests.models.initialisation_rules import constant
from tests.models.initialisation_rules import torch_convolution
from tests.test_case import TestCase

DIM = 768


def one_sigma(std):
    """Normal, cut at one deviation: 0.5396 of it is left.

    The relative standard error of that is `sqrt(0.2352 / n)`. The density at
    the cut is 0.71 / std: all of n values stay below 1 - 20 / n times the cut
    one time in a million.
    """

    def check(values):
        largest = np.abs(values).max()
        np.testing.assert_array_less(largest, std * (1 + 1e-6))
        np.testing.assert_array_less(std * (1 - 20 / values.size), largest)
        error = (0.2352 / values.size) ** 0.5
        check_deviation(values, 0.53956 * std, error)

    return check


def block_rules(i):
    block, last = f"block_{i}/", one_sigma(0.02 / (2 * (i + 1)) ** 0.5)
    attention = block + "attention/"
    return [
        (attention + "query_key_value/kernel", (DIM, 3 * DIM), one_sigma(0.02)),
        (attention + "(query|value)_bias", (DIM,), ZERO),
        (attention + "projection/kernel", (DIM, DIM), last),
        (attention + "projection/bias", (DIM,), ZERO),
        (block + "mlp_in/kernel", (DIM, 4 * DIM), one_sigma(0.02)),
        (block + "mlp_in/bias", (4 * DIM,), ZERO),
        (block + "mlp_out/kernel", (4 * DIM, DIM), last),
        (block + "mlp_out/bias", (DIM,), ZERO),
        (
            block + "(attention|mlp)_scale/gamma",
            (DIM,),
            constant(np.float32(0.1)),
        ),
        (block + "(attention|mlp)_norm/gamma", (DIM,), ONE),
        (block + "(attention|mlp)_norm/beta", (DIM,), ZERO),
    ]


# As `_init_weights` and `fix_init_weight` of SimMIM's `VisionTransformer` with
# the `_trunc_normal_` of its `VisionTransformerForSimMIM`; the head, not one of
# its modules, keeps PyTorch's default.
RULES = [
    ("patch_embedding/projection/kernel", (DIM, DIM), one_sigma(0.02)),
    ("patch_embedding/projection/bias", (DIM,), ZERO),
    ("position_embedding/class_token/token", (1, 1, DIM), one_sigma(0.02)),
    ("position_bias_0/table", (27 * 27 + 3, 12), ZERO),
    *block_rules(0),
    *block_rules(1),
    ("norm/gamma", (DIM,), ONE),
    ("norm/beta", (DIM,), ZERO),
    ("sim_mim/mask_token/token", (1, 1, DIM), one_sigma(0.02)),
    *(
        (
            f"sim_mim/sim_mim_head/prediction/{name}",
            shape,
            torch_convolution(DIM),
        )
        for name, shape in (("kernel", (DIM, DIM)), ("bias", (DIM,)))
    ),
]


def make_simmim():
    encoder = ViT.from_size(
        "base",
        (224, 224, 3),
        16,
        num_layers=2,
        positions="shared_relative",
        layer_scale=0.1,
        use_key_bias=False,
        initialization="beit",
    )
    return keras_mim.SimMIM(encoder)


def weights_of(model):
    return {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}


class BEiTInitialisationTest(TestCase):
    def test_every_weight_of_simmim(self):
        check_weights(weights_of(make_simmim()), RULES)

    def test_weights_follow_the_global_seed_and_nothing_else(self):
        weights = weights_of(make_simmim())
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(0)
        for path, again in weights_of(make_simmim()).items():
            self.assertAllEqual(again, weights[path])
        # No two of them come from one seed: neither at one scale nor at
        # another, nor as the start of a larger one.
        starts = {}
        for path, values in weights.items():
            if np.ptp(values) > 0:
                start = values.ravel()[:100]
                starts[path] = start / np.abs(start).max()
        self.assertGreater(len(starts), 10)
        for path, start in starts.items():
            alike = [p for p in starts if np.allclose(starts[p], start, 1e-3)]
            self.assertEqual(alike, [path])

    def test_tokens_over_many_seeds(self):
        encoder = make_simmim().encoder
        tokens = []
        for seed in range(40):
            keras.utils.set_random_seed(seed)
            layer = layers.MaskToken(
                initializer=encoder.token_initializer.clone()
            )
            layer.build((None, 196, DIM), (None, 196))
            tokens.append(self.to_numpy(layer.token))
        # 30,720 values: the deviation within 1.4 %.
        one_sigma(0.02)(np.stack(tokens).astype("float64"))

    def test_learned_positions_are_tokens_too(self):
        learned = {"positions": "learned", "initialization": "beit"}
        encoder = ViT((32, 32, 3), 2, 64, 1, 1, 1, **learned)
        table = encoder.position_embedding.layers[1].table
        one_sigma(0.02)(self.to_numpy(table).astype("float64"))

    def test_swins_mask_token_is_not_cut(self):
        encoder = keras_mim.encoders.Swin((64, 64, 3), 4, 512, (1,), (1,))
        token = self.to_numpy(keras_mim.SimMIM(encoder).mask_token.token)
        # Of 512 normal values, a third lies beyond one deviation.
        self.assertGreater((np.abs(token) > 0.02).mean(), 0.2)

    def test_configuration(self):
        encoder = ViT((8, 8, 3), 4, 8, 2, 2, 16, initialization="beit")
        again = ViT.from_config(encoder.get_config())
        self.assertEqual(again.initialization, "beit")
        again = layers.TransformerBlock.from_config(
            encoder.blocks[1].get_config()
        )
        self.assertEqual(again.kernel_initializer.stddev, 0.02)
        self.assertEqual(again.output_kernel_initializer.stddev, 0.01)

    def test_unknown_initialization(self):
        with self.assertRaisesRegex(ValueError, "Received: init.*='torch'"):
            ViT((8, 8, 3), 4, 8, 1, 2, 16, initialization="torch")


def draw(initializer, *shape):
    return keras.ops.convert_to_numpy(initializer(shape))


def wrong_weights():
    """Yields (path, values) of initialisations that are not SimMIM's."""
    cut = layers.OneSigmaNormal(0.02, seed=0)
    two_sigma = keras.initializers.TruncatedNormal(stddev=0.02, seed=0)
    normal = keras.initializers.RandomNormal(stddev=0.02, seed=0)
    uniform = keras.initializers.RandomUniform(-0.02, 0.02, seed=0)
    glorot = keras.initializers.GlorotUniform(seed=0)
    kernel = (DIM, DIM)
    for path in (
        "patch_embedding/projection/kernel",
        "block_0/attention/projection/kernel",
        "block_1/attention/projection/kernel",
    ):
        for initializer in (two_sigma, normal, uniform, glorot):
            yield path, draw(initializer, *kernel)
    # Not divided, divided as another layer's, or counted from 0.
    first, second = (f"block_{i}/attention/projection/kernel" for i in (0, 1))
    values = draw(cut, *kernel)
    yield first, values
    yield first, values / 2
    yield second, values
    yield second, values / 2**0.5
    values = draw(cut, 4 * DIM, DIM)
    yield "block_0/mlp_out/kernel", values
    yield "block_1/mlp_out/kernel", values / 2**0.5
    # Divided where they are not.
    yield "block_0/mlp_in/kernel", draw(cut, DIM, 4 * DIM) / 2**0.5
    yield (
        "block_1/attention/query_key_value/kernel",
        np.concatenate([draw(glorot, *kernel)] * 3, axis=1),
    )
    # The patches' bias by PyTorch's default, as MAE's.
    bias = keras.initializers.RandomUniform(-(DIM**-0.5), DIM**-0.5, seed=0)
    yield "patch_embedding/projection/bias", draw(bias, DIM)
    yield "block_0/attention/query_bias", draw(cut, DIM)
    yield "position_bias_0/table", draw(cut, 27 * 27 + 3, 12)
    yield "block_1/mlp_scale/gamma", np.full(DIM, 1e-5)
    yield "block_1/mlp_scale/gamma", np.ones(DIM)
    yield "norm/gamma", np.zeros(DIM)
    for token in (
        "position_embedding/class_token/token",
        "sim_mim/mask_token/token",
    ):
        yield token, draw(normal, 1, 1, DIM)
        yield token, draw(two_sigma, 1, 1, DIM)
        yield token, draw(cut, 1, 1, DIM) / 0.54
        yield token, np.zeros((1, 1, DIM))
    yield "sim_mim/sim_mim_head/prediction/kernel", draw(cut, *kernel)
    yield "sim_mim/sim_mim_head/prediction/bias", np.zeros(DIM)


class WrongInitialisationTest(TestCase):
    def test_a_wrong_initialiser_is_noticed(self):
        for path, values in wrong_weights():
            with self.assertRaisesRegex(AssertionError, f"^{path}: "):
                check_weight(path, values, RULES)

    def test_maes_initialisation_is_noticed(self):
        encoder = ViT.from_size(
            "base",
            (224, 224, 3),
            16,
            num_layers=2,
            positions="shared_relative",
            layer_scale=0.1,
            use_key_bias=False,
        )
        with self.assertRaisesRegex(AssertionError, "^patch_embedding/"):
            check_weights(weights_of(keras_mim.SimMIM(encoder)), RULES)
