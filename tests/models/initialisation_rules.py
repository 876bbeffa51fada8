"""How every weight of MAE and SimMIM starts, at the width of the base size.

Each weight must be covered by exactly one rule, and each rule must cover some
weight. A rule is a pattern of the weight's path, its shape, and its values.

The rules for n random values are those of their sampling error, loose enough
to fail one time in a million:

- the largest of n uniform values lies within 14 / n of the bound, relatively:
  (1 - 14 / n) ** n = 8e-7;
- mean and standard deviation lie within 5 standard errors of the right ones.
  These are std / sqrt(n) for the mean; for the deviation, relatively,
  sqrt(0.2 / n) for uniform and sqrt(0.5 / n) for normal values.

For kernels that comes to less than 0.006 % of the bound and 0.5 % of the
deviation; for 768 uniform values to 1.8 % and 8 %; for 512 normal values to
16 % of the deviation, wherefore tokens are also checked over many seeds.
"""

import re

import numpy as np

ENCODER_DIM, DECODER_DIM, PATCH_DIM, NUM_TOKENS = 768, 512, 768, 197


def check_deviation(values, std, relative_error):
    np.testing.assert_allclose(values.std(), std, rtol=5 * relative_error)
    error = std / values.size**0.5
    np.testing.assert_allclose(values.mean(), 0, atol=5 * error)


def uniform(bound):
    def check(values):
        largest = np.abs(values).max()
        # Float32: the bound itself may be rounded up.
        np.testing.assert_array_less(largest, bound * (1 + 1e-6))
        np.testing.assert_array_less(bound * (1 - 14 / values.size), largest)
        check_deviation(values, bound / 3**0.5, (0.2 / values.size) ** 0.5)

    return check


def xavier(fan_in, fan_out):
    return uniform((6 / (fan_in + fan_out)) ** 0.5)


def torch_convolution(fan_in):
    """PyTorch's default for convolutions, kernel and bias."""
    return uniform(fan_in**-0.5)


def normal(std):
    """Normal and not truncated.

    Of 512 normal values, some lie beyond 2 standard deviations but one time in
    2e10. timm's `trunc_normal_` of 0.02, in MAE, cuts at -2 and 2: not at all.
    """

    def check(values):
        check_deviation(values, std, (0.5 / values.size) ** 0.5)
        np.testing.assert_array_less(2 * std, np.abs(values).max())

    return check


def constant(value):
    def check(values):
        np.testing.assert_array_equal(values, value)

    return check


def positions(hidden_dim, golden_sum):
    """The sine-cosine table for 14 x 14 patches, and zeros for the class."""
    patch = np.arange(14.0)
    angles = patch[:, None] * 10000 ** (
        -np.arange(hidden_dim // 4) / (hidden_dim / 4)
    )
    half = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    table = np.concatenate([np.tile(half, (14, 1)), half.repeat(14, 0)], axis=1)

    def check(values):
        np.testing.assert_array_equal(values[0, 0], 0)
        # Rounded to float32 in the end: half of 2 ** -24 at 1.
        np.testing.assert_allclose(values[0, 1:], table, rtol=0, atol=6e-8)
        # From a computation in float64; 1e5 such roundings.
        np.testing.assert_allclose(values.sum(), golden_sum, rtol=0, atol=1e-3)

    return check


ZERO, ONE = constant(0), constant(1)


def block_rules(prefix, dim):
    """Rules of the transformer blocks and the norm: (path, shape, check)."""
    block = prefix + r"block_\d/"
    return [
        # The fused kernel: for 768, a bound of 0.04419; of three kernels of
        # their own, it would be 0.0625.
        (
            block + "attention/query_key_value/kernel",
            (dim, 3 * dim),
            xavier(dim, 3 * dim),
        ),
        (block + "attention/query_key_value/bias", (3 * dim,), ZERO),
        (block + "attention/projection/kernel", (dim, dim), xavier(dim, dim)),
        (block + "attention/projection/bias", (dim,), ZERO),
        (block + "mlp_in/kernel", (dim, 4 * dim), xavier(dim, 4 * dim)),
        (block + "mlp_in/bias", (4 * dim,), ZERO),
        (block + "mlp_out/kernel", (4 * dim, dim), xavier(4 * dim, dim)),
        (block + "mlp_out/bias", (dim,), ZERO),
        (block + "(attention|mlp)_norm/gamma", (dim,), ONE),
        (block + "(attention|mlp)_norm/beta", (dim,), ZERO),
        (prefix + "norm/gamma", (dim,), ONE),
        (prefix + "norm/beta", (dim,), ZERO),
    ]


ENCODER = [
    # Xavier over the flat patch: a bound of 0.0625.
    (
        "patch_embedding/projection/kernel",
        (PATCH_DIM, ENCODER_DIM),
        xavier(PATCH_DIM, ENCODER_DIM),
    ),
    (
        "patch_embedding/projection/bias",
        (ENCODER_DIM,),
        torch_convolution(PATCH_DIM),
    ),
    (
        "position_embedding/class_token/token",
        (1, 1, ENCODER_DIM),
        normal(0.02),
    ),
    (
        "position_embedding/positions/table",
        (1, NUM_TOKENS, ENCODER_DIM),
        positions(ENCODER_DIM, 69594.493859),
    ),
    *block_rules("", ENCODER_DIM),
]

# As `initialize_weights` of MAE's `MaskedAutoencoderViT`: Xavier for all linear
# layers, decoder included.
MAE_RULES = [
    *ENCODER,
    (
        "mae/mae_head/embedding/kernel",
        (ENCODER_DIM, DECODER_DIM),
        xavier(ENCODER_DIM, DECODER_DIM),
    ),
    ("mae/mae_head/embedding/bias", (DECODER_DIM,), ZERO),
    (
        "mae/mae_head/restore_tokens/token",
        (1, 1, DECODER_DIM),
        normal(0.02),
    ),
    (
        "mae/mae_head/position_embedding/table",
        (1, NUM_TOKENS, DECODER_DIM),
        positions(DECODER_DIM, 46340.333103),
    ),
    *block_rules("mae/mae_head/", DECODER_DIM),
    (
        "mae/mae_head/prediction/kernel",
        (DECODER_DIM, PATCH_DIM),
        xavier(DECODER_DIM, PATCH_DIM),
    ),
    ("mae/mae_head/prediction/bias", (PATCH_DIM,), ZERO),
]

# MAE's encoder with SimMIM's mask token and head. For SimMIM's own ViT, see
# beit_initialisation_test.py.
SIMMIM_RULES = [
    *ENCODER,
    ("sim_mim/mask_token/token", (1, 1, ENCODER_DIM), normal(0.02)),
    (
        "sim_mim/sim_mim_head/prediction/kernel",
        (ENCODER_DIM, PATCH_DIM),
        torch_convolution(ENCODER_DIM),
    ),
    (
        "sim_mim/sim_mim_head/prediction/bias",
        (PATCH_DIM,),
        torch_convolution(ENCODER_DIM),
    ),
]


def check_weight(path, values, rules):
    """Checks one weight by its only rule, and returns the rule's pattern."""
    matches = [rule for rule in rules if re.fullmatch(rule[0], path)]
    if len(matches) != 1:
        raise AssertionError(f"{path} has {len(matches)} rules, expected 1")
    pattern, shape, check = matches[0]
    if values.shape != shape:
        raise AssertionError(f"{path}: {values.shape}, expected {shape}")
    try:
        check(values.astype("float64"))
    except AssertionError as error:
        raise AssertionError(f"{path}: {error}") from error
    return pattern


def check_weights(weights, rules):
    """Raises an AssertionError where weights and rules do not fit.

    Args:
        weights: dict from the path of each weight to its values.
        rules: list of (pattern of the whole path, shape, check).
    """
    used = {check_weight(path, weights[path], rules) for path in weights}
    # One seed for two weights would draw the same values twice.
    drawn = [values for values in weights.values() if np.ptp(values) > 0]
    if len({values.tobytes() for values in drawn}) != len(drawn):
        raise AssertionError("two weights have the same random values")
    unused = {pattern for pattern, _, _ in rules} - used
    if unused:
        raise AssertionError(f"rules without a weight: {sorted(unused)}")
