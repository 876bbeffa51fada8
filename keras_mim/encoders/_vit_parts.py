"""What `ViT` is put together from, chosen by its arguments."""

import math

import keras

from keras_mim import layers
from keras_mim._checks import check_choice

# MAE's sizes; tiny and small are those of
# [Touvron et al., 2020](https://arxiv.org/abs/2012.12877) (DeiT).
SIZES = {
    name: {
        "hidden_dim": hidden_dim,
        "num_layers": num_layers,
        "num_heads": num_heads,
        "mlp_dim": 4 * hidden_dim,
    }
    for name, hidden_dim, num_layers, num_heads in (
        ("tiny", 192, 12, 3),
        ("small", 384, 12, 6),
        ("base", 768, 12, 12),
        ("large", 1024, 24, 16),
        ("huge", 1280, 32, 16),
    )
}

ABSOLUTE = ("sine_cosine", "learned")
RELATIVE = ("relative", "shared_relative")
# What positions become to be trained with labels.
TRAINED = {"sine_cosine": "learned", "shared_relative": "relative"}


def position_layers(
    positions,
    grid,
    num_prefix_tokens,
    num_heads,
    num_layers,
    initializer,
    policy,
):
    """Returns what tells a ViT's tokens where they are.

    Args:
        positions: str. See `ViT`.
        grid: tuple of int. `(height, width)` in patches.
        num_prefix_tokens: int. 0 or 1 (the class token).
        num_heads: int. Number of attention heads.
        num_layers: int. Number of blocks.
        initializer: Keras initializer of the class token and learned positions.
        policy: Dtype policy of the layers.

    Returns:
        Tuple of the stage `position_embedding` and a list of none, one or
        `num_layers` `RelativePositionBias`.
    """
    check_choice("positions", positions, ABSOLUTE + RELATIVE)
    class_token = layers.ClassToken(
        initializer=initializer.clone(), dtype=policy, name="class_token"
    )
    # Relative ones enter at the attention; before it, tokens stay as they are.
    # (Keras writes this layer only if its arguments are plain values.)
    place = keras.layers.Identity(
        dtype=keras.dtype_policies.serialize(policy), name="positions"
    )
    num_biases = {"relative": num_layers, "shared_relative": 1}
    if positions in ABSOLUTE:
        place = layers.PositionEmbedding(
            grid,
            positions,
            num_prefix_tokens,
            initializer=initializer.clone(),
            dtype=policy,
            name="positions",
        )
    stage = keras.Sequential(
        [class_token] * num_prefix_tokens + [place], name="position_embedding"
    )
    biases = [
        layers.RelativePositionBias(
            grid,
            num_heads,
            num_prefix_tokens,
            dtype=policy,
            name=f"position_bias_{i}",
        )
        for i in range(num_biases.get(positions, 0))
    ]
    return stage, biases


def initializers(initialization, num_layers):
    """Returns the initializers of a ViT's parts.

    Args:
        initialization: str. See `ViT`.
        num_layers: int. Number of blocks.

    Returns:
        Tuple of the tokens' initializer, the arguments of `PatchEmbedding`
        and, by block, those of `TransformerBlock`.
    """
    check_choice("initialization", initialization, INITIALIZATIONS)
    return INITIALIZATIONS[initialization](num_layers)


def _mae(num_layers):
    # The layers' own defaults are MAE's.
    token = keras.initializers.RandomNormal(stddev=0.02)
    return token, {}, [{}] * num_layers


def _beit(num_layers):
    # `_init_weights` and `fix_init_weight` of BEiT's and SimMIM's code.
    patch = {
        "kernel_initializer": layers.OneSigmaNormal(0.02),
        "bias_initializer": "zeros",
    }
    blocks = [
        {
            "kernel_initializer": layers.OneSigmaNormal(0.02),
            "output_kernel_initializer": layers.OneSigmaNormal(
                0.02 / math.sqrt(2 * layer)
            ),
        }
        for layer in range(1, num_layers + 1)
    ]
    return layers.OneSigmaNormal(0.02), patch, blocks


INITIALIZATIONS = {"mae": _mae, "beit": _beit}
