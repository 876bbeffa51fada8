import re

import keras
import numpy as np

from keras_mim.converters._configuration import check_configuration
from keras_mim.converters._resizing import resized
from keras_mim.converters.report import Report
from keras_mim.converters.report import abridged
from keras_mim.models import MaskedImageModel
from keras_mim.targets import DalleEncoder
from keras_mim.transfer import Classifier

# What files hold beside the encoder: an encoder has no place for it, and
# whoever loads a file into an encoder does not expect one.
NOT_THE_ENCODERS = re.compile(
    r"decoder|(lm_)?head|fc_norm|classifier|vit\.pooler|(.+\.)?mask_token$"
)


def assign(
    model,
    entries,
    checkpoint,
    allow_missing=(),
    grid=None,
    adapt_channels=False,
):
    """Puts a checkpoint into a model: all of it, or nothing and an error.

    Args:
        model: An encoder, a masked image model, a classifier or DALL-E's
            encoder.
        entries: dict of str to `Entry`. The weights of the model.
        checkpoint: `Checkpoint`, read by the layout of the entries.
        allow_missing: tuple of str. Beginnings of names that may be missing.
        grid: tuple of int or `None`. The checkpoint's `(height, width)` in
            patches; `None` works it out where it can.
        adapt_channels: bool. Whether a patch kernel may be fitted to another
            number of channels.

    Returns:
        `Report`.
    """
    check_configuration(model, checkpoint)
    source, arrays = checkpoint.source, checkpoint.arrays
    missing = [name for name in entries if name not in arrays]
    unused = [name for name in arrays if name not in entries]
    refused = [n for n in missing if not n.startswith(tuple(allow_missing))]
    if refused:
        raise ValueError(
            f"{source} lacks {len(refused)} of the {len(entries)} "
            f"weights of `{type(model).__name__}`: {abridged(refused)}. "
            f"{_advice(refused, entries, model)} It holds: {abridged(arrays)}"
        )
    whole = isinstance(model, (MaskedImageModel, Classifier, DalleEncoder))
    strangers = [n for n in unused if whole or not NOT_THE_ENCODERS.match(n)]
    if strangers:
        raise ValueError(
            f"{source} holds {len(strangers)} arrays that "
            f"`{type(model).__name__}` has no place for: {abridged(strangers)}"
        )
    values, reshaped = {}, {}
    for name, entry in entries.items():
        if name in missing:
            continue
        where = f"{checkpoint.source}: `{name}`"
        array = _as_float32(arrays[name], where)
        fitting = resized(array, entry, where, grid, adapt_channels)
        if fitting.shape != entry.shape:
            raise ValueError(
                f"{where} must have shape {entry.shape}. "
                f"Received: shape {fitting.shape}"
            )
        if fitting.shape != array.shape:
            reshaped[name] = f"{array.shape} to {fitting.shape}"
        key = id(entry.variable)
        if key not in values:
            value = keras.ops.convert_to_numpy(entry.variable)
            values[key] = entry.variable, np.array(value)
        values[key][1][..., entry.where] = entry.to_keras(fitting)
    # Nothing can go wrong from here on: the model changes as a whole.
    for variable, value in values.values():
        variable.assign(value)
    loaded = tuple(name for name in entries if name not in missing)
    return Report(
        source,
        loaded,
        (*unused, *checkpoint.outside),
        tuple(missing),
        reshaped,
        checkpoint.taken,
    )


def _advice(refused, entries, model):
    """Says what a lack may mean, and how to allow it."""
    if len(refused) == len(entries):
        return (
            "It has none of the names looked for: is this the right loader? "
            "For ViTs and Swins, `from_checkpoint` finds out which it is."
        )
    starts = sorted({_beginning(name) for name in refused})
    if any(x.split(".")[-1] in ("blocks", "layers", "encoder") for x in starts):
        return "Has the model more blocks, or other ones?"
    advice = f"To accept it, pass allow_missing={tuple(starts)!r}."
    if "decoder" in starts:
        advice = (
            "This looks like a file of the encoder alone, without the head: "
            f"load it into `{type(model).__name__}.encoder`. {advice}"
        )
    return advice


def _beginning(name):
    if name.startswith("decoder"):
        return "decoder"
    parts = name.split(".")
    prefixed = parts[0] in ("vit", "swin", "swinv2")
    return ".".join(parts[:2]) if prefixed else parts[0]


def _as_float32(array, where):
    """Returns an array in float32, or raises if it is not of finite floats."""
    if array.dtype.kind not in "f" and array.dtype.name != "bfloat16":
        raise ValueError(
            f"{where} must hold floating-point numbers. "
            f"Received: dtype {array.dtype}"
        )
    array = array.astype("float32")
    wrong = array.size - np.count_nonzero(np.isfinite(array))
    if wrong:
        raise ValueError(
            f"{where} must be finite. Received: {wrong} values of {array.size} "
            "are NaN or infinite"
        )
    return array
