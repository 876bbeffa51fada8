"""The weights in what a training script saved, whatever it put around them."""

import argparse
import re
import typing
import warnings

import numpy as np

# Every ViT and Swin has a weight whose name ends like this; what stands before
# it was put there by what the model was wrapped in.
LANDMARK = re.compile(
    r"(?:^|\.)(patch_embed\.proj|embeddings\.patch_embeddings\.projection)"
    r"\.weight$"
)
# Unless it is transformers' own, or SimMIM's, whose head stands beside it.
HF_PREFIX = re.compile(r"(^|.*\.)(?:vit|swin|swinv2)\.$")
SIMMIM_PREFIX = re.compile(r"(^|.*\.)encoder\.$")

# What torch's compiler, FSDP and gradient checkpointing put into names.
INFIX = re.compile(
    r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)

# Where training scripts put the weights that are trained...
TRAINED = ("model", "state_dict", "module", "model_state_dict")
# ... and parts of the names of those that follow or are compared to them.
# DINO and iBOT evaluate the teacher.
OTHERS = re.compile(r"(?:^|_)(?:ema|momentum|student|averaged|target)(?:_|$)")


# What a checkpoint that is no file is called in messages.
DICT = "the dict of arrays"


class Candidate(typing.NamedTuple):
    """One set of weights in what was saved.

    Attributes:
        keys: tuple of str. Where its dict is.
        prefix: str. What the names of its weights begin with there.
        content: dict. The dict.
    """

    keys: tuple
    prefix: str
    content: dict

    @property
    def label(self):
        return ".".join([*self.keys, self.prefix]).rstrip(".")

    @property
    def rank(self):
        parts = self.label.split(".")
        if any(map(OTHERS.search, parts)):
            return 2
        return int(bool(self.keys) and self.keys[0] not in TRAINED)


class Weights(typing.NamedTuple):
    """What was taken of it.

    Attributes:
        arrays: dict of str to NumPy array.
        outside: tuple of str. Names that stand beside the weights.
        taken: str. Where they were, and what their names began with.
    """

    arrays: dict
    outside: tuple
    taken: str


def unwrap(content, source, label=""):
    """Returns the weights in what a training script saved.

    Args:
        content: What a file holds.
        source: str. The file, for messages.
        label: str. Which of several sets of weights to take.

    Returns:
        `Weights`.
    """
    candidates = list(_candidates(content))
    if label:
        candidates = [c for c in candidates if _is_in(c.label, label)]
        if not candidates:
            found = [c.label for c in _candidates(content)]
            raise ValueError(
                f"{source} holds no weights of a ViT or Swin under {label!r}, "
                f"but under: {found}"
            )
    if not candidates:
        return _without_landmark(content, source)
    taken, *others = sorted(candidates, key=lambda c: c.rank)
    if others:
        _tell(taken, others, source)
    arrays, outside = {}, []
    for name, value in taken.content.items():
        bare = INFIX.sub("", str(name))
        if bare.startswith(taken.prefix):
            bare = bare.removeprefix(taken.prefix)
            arrays[bare] = as_array(value, f"{source}: {name!r}")
        else:
            outside.append(name)
    return Weights(arrays, tuple(outside), taken.label)


def options(content):
    """Returns what a training script saved of its options, as a `config`.

    Those of MAE's and SimMIM's that change what is computed or predicted.
    """
    config, found = {}, content if isinstance(content, dict) else {}
    if isinstance(found.get("args"), argparse.Namespace):
        normalize = getattr(found["args"], "norm_pix_loss", None)
        if isinstance(normalize, bool):
            config["norm_pix_loss"] = normalize
    if isinstance(found.get("config"), dict):
        size = _at(found["config"], "DATA", "IMG_SIZE")
        if isinstance(size, int):
            config["image_size"] = size
        for name in ("SWIN", "SWINV2", "VIT"):
            scale = _at(found["config"], "MODEL", name, "QK_SCALE")
            if scale is not None:
                config["qk_scale"] = scale
    return config


def as_array(value, where):
    """Returns a value of a checkpoint as an array of numbers."""
    if type(value).__module__ == "torch":
        # NumPy has no bfloat16 that torch would convert to.
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ValueError(
            f"{where} must be an array of numbers. "
            f"It is a {type(value).__name__} of dtype {array.dtype}"
        )
    return array


def _candidates(content, keys=()):
    """Yields every set of weights of a ViT or Swin."""
    if not isinstance(content, dict):
        return
    names = {INFIX.sub("", n): n for n in content if isinstance(n, str)}
    for name, original in names.items():
        match = LANDMARK.search(name)
        if match and not isinstance(content[original], dict):
            prefix = _without_own(name[: match.start(1)], names)
            yield Candidate(keys, prefix, content)
        yield from _candidates(content[original], (*keys, original))


def _without_own(prefix, names):
    """Returns a prefix without what is part of a family's names."""
    own = HF_PREFIX.match(prefix)
    if own is None or f"{prefix}patch_embed.proj.weight" in names:
        own = SIMMIM_PREFIX.match(prefix)
        head = own and f"{own[1]}decoder.0.weight"
        if not {head, f"{prefix}mask_token"} & names.keys():
            return prefix
    return own[1] if own else prefix


def _tell(taken, others, source):
    """Says which weights were taken; raises if there is no telling."""
    labels = [other.label for other in others]
    how = f"To take others pass {f'{source}#{labels[0]}'!r}."
    if source == DICT:
        how = "To take others pass their dict alone."
    if taken.rank == others[0].rank:
        raise ValueError(
            f"{source} holds more than one set of weights, under "
            f"{[taken.label, *labels]}, and none is known to be the one "
            f"wanted. {how}"
        )
    warnings.warn(
        f"{source} holds more than one set of weights. Taken: "
        f"{taken.label!r}. Left: {labels}. {how}",
        stacklevel=2,
    )


def _without_landmark(content, source):
    """Returns the weights of something else: DALL-E's, or to be refused."""
    keys = []
    while isinstance(content, dict):
        inner = [k for k in TRAINED if isinstance(content.get(k), dict)]
        if not inner:
            break
        keys.append(inner[0])
        content = content[inner[0]]
    if not isinstance(content, dict):
        raise ValueError(
            f"{source} must hold a dict of arrays. "
            f"It holds a {type(content).__name__}"
        )
    dicts = [str(k) for k, v in content.items() if isinstance(v, dict)]
    if dicts:
        raise ValueError(
            f"{source} holds no weight whose name ends in "
            "`patch_embed.proj.weight` or `embeddings.patch_embeddings."
            "projection.weight`, as every ViT's and Swin's known here does, in "
            f"itself or in {dicts}"
        )
    arrays = {
        INFIX.sub("", str(name)): as_array(value, f"{source}: {name!r}")
        for name, value in content.items()
    }
    if arrays and all(name.startswith("module.") for name in arrays):
        # Saved from inside torch's DistributedDataParallel.
        keys.append("module")
        arrays = {k.removeprefix("module."): v for k, v in arrays.items()}
    return Weights(arrays, (), ".".join(keys))


def _is_in(label, part):
    return f"{label}.".startswith(f"{part}.")


def _at(config, *keys):
    for key in keys:
        config = config.get(key) if isinstance(config, dict) else None
    return config
