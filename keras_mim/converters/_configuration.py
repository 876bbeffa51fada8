"""What a configuration says of a model, and its weights do not show.

Each fact has three ends: an argument of the encoder takes it, it is refused,
or, where outputs do not depend on it, there is a warning.
"""

import math
import re
import warnings

from keras_mim.normalization import Normalization
from keras_mim.transfer import Classifier

# Of transformers; `timm_wrapper` is its name for those of timm.
MODEL_TYPES = (
    "vit",
    "vit_mae",
    "vit_msn",
    "ijepa",
    "swin",
    "swinv2",
    "timm_wrapper",
)
# Names of the exact GELU, transformers' and timm's. The others have a tanh or
# a sigmoid in it.
EXACT_GELU = ("gelu", "gelu_python")

# Names of timm's models, as of its version 1.0.31, whose weights have the names
# and shapes of a `ViT`'s, and that compute something else: another GELU (the
# first three), rotations of queries and keys, or norms after the branches.
TIMM_OTHERS = re.compile(
    r"quickgelu|^vit_(base_patch32|giantopt_patch16|so400m_patch16)_siglip_gap"
    r"|^vit_large_patch16_siglip_gap_512|_rope_|_rpn_|^eva02_"
)

# How far another epsilon of the layer norms may be off: transformers' ViTs have
# 1e-12, all others that of ours.
EPSILON_TOLERANCE = 1e-6

WAY_OUT = (
    "To load the weights all the same, pass the file of the weights, without "
    "its configuration."
)


def normalization_of(checkpoint, channels):
    """Returns how images are normalized, if a configuration tells.

    Args:
        checkpoint: `Checkpoint`.
        channels: int. Number of channels of the images.

    Returns:
        `Normalization`, or `None` where nothing is said of as many channels.
    """
    found = checkpoint.preprocessor
    scale, mean, std = 1.0, found.get("image_mean"), found.get("image_std")
    if found:
        factor = found.get("rescale_factor", 1 / 255)
        # Of pixels in [0, 1].
        scale = 255 * (factor if found.get("do_rescale", True) else 1)
        if not found.get("do_normalize", True):
            mean, std = (0.0,) * channels, (1.0,) * channels
    if mean is None or std is None:
        found = checkpoint.config.get("pretrained_cfg") or checkpoint.config
        scale, mean, std = 1.0, found.get("mean"), found.get("std")
    lengths = [len(x) for x in (mean, std) if isinstance(x, (list, tuple))]
    if lengths != [channels, channels]:
        return None
    return Normalization([m / scale for m in mean], [s / scale for s in std])


def check_configuration(model, checkpoint):
    """Raises where a model computes otherwise than a configuration says.

    Warns where it only differs in what training does, or in how images are to
    be normalized.

    Args:
        model: An encoder, or what is made of one.
        checkpoint: `Checkpoint`.
    """
    config, source = checkpoint.config, checkpoint.source
    encoder = getattr(model, "encoder", model)
    for name, value, expected in _differences(model, encoder, config):
        raise ValueError(
            f"The configuration of {source} says {name}={value!r}, of which "
            f"the weights show nothing, and `{type(encoder).__name__}` "
            f"computes with {expected}. {WAY_OUT}"
        )
    for name in (
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "drop_rate",
        "attn_drop_rate",
    ):
        if config.get(name):
            _warn(
                source,
                f"{name}={config[name]!r}: outputs are the same, but there is "
                "no such dropout in training here",
            )
    raw = getattr(getattr(model, "target", None), "normalize", None)
    predicted = config.get("norm_pix_loss")
    if None not in (raw, predicted) and raw != predicted:
        _warn(
            source,
            f"norm_pix_loss={predicted}, and the model's target has "
            f"normalize={raw}: give it `PixelTarget(normalize={predicted})` to "
            "go on as before",
        )
    normalization = getattr(encoder, "normalization", None)
    if normalization is not None:
        told = normalization_of(checkpoint, normalization.channels)
        if told is not None and not _are_close(told, normalization):
            _warn(
                source,
                f"{told}, and the encoder has {normalization}: build it with "
                "`normalization=` what the configuration says",
            )


def _differences(model, encoder, config):
    """Yields the name of a fact, its value, and what is computed instead."""
    arguments = {**config, **(config.get("model_args") or {})}
    get = arguments.get
    if get("model_type", "vit") not in MODEL_TYPES:
        yield "model_type", get("model_type"), f"one of {MODEL_TYPES}"
    if TIMM_OTHERS.search(str(get("architecture"))):
        yield "architecture", get("architecture"), "exact GELU and norms first"
    for name in ("hidden_act", "act_layer"):
        if get(name) not in (None, *EXACT_GELU):
            yield name, get(name), "the exact GELU"
    if get("norm_layer") not in (None, "layernorm"):
        yield "norm_layer", get("norm_layer"), "layer norms"
    if get("qk_scale") is not None:
        yield "qk_scale", get("qk_scale"), "1 / sqrt(width of a head)"
    blocks = getattr(encoder, "blocks", None)
    epsilon = get("layer_norm_eps")
    if blocks and epsilon is not None:
        own = blocks[0].norm_epsilon
        if abs(epsilon - own) > EPSILON_TOLERANCE:
            yield "layer_norm_eps", epsilon, own
    head = getattr(model, "head", None)
    for name, layer in (
        ("num_attention_heads", encoder),
        ("decoder_num_attention_heads", head),
    ):
        own = getattr(layer, "num_heads", None)
        if isinstance(own, int) and get(name) not in (None, own):
            yield name, get(name), own
    pooling = {"token": "cls", "avg": "mean"}.get(get("global_pool"))
    if isinstance(model, Classifier) and pooling not in (None, model.pooling):
        yield "global_pool", get("global_pool"), f"pooling={model.pooling!r}"


def _are_close(one, other):
    pairs = zip((*one.mean, *one.std), (*other.mean, *other.std))
    return all(math.isclose(a, b, abs_tol=1e-6) for a, b in pairs)


def _warn(source, text):
    warnings.warn(f"The configuration of {source} says {text}", stacklevel=2)
