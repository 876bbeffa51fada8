import keras
import numpy as np

from keras_mim.converters.fit import fit_channels
from keras_mim.converters.fit import fit_positions
from keras_mim.converters.fit import fit_relative_positions
from keras_mim.converters.layouts import entries
from keras_mim.converters.report import Report
from keras_mim.converters.report import abridged
from keras_mim.models import MaskedImageModel
from keras_mim.transfer import Classifier

# What files hold beside the encoder: an encoder has no place for it, and
# whoever loads a file into an encoder does not expect one.
NOT_THE_ENCODERS = (
    "mask_token",
    "encoder.mask_token",
    "vit.embeddings.mask_token",
    "swin.embeddings.mask_token",
    "swinv2.embeddings.mask_token",
    "decoder",
    "head",
    "lm_head",
    "fc_norm",
    "classifier",
    "vit.pooler",
)

# Beginnings of the names of blocks.
BLOCKS = {
    "blocks",
    "layers",
    "vit.encoder",
    "swin.encoder",
    "swinv2.encoder",
}


def fill(
    model,
    checkpoint,
    arrays,
    layout,
    allow_missing=(),
    grid=None,
    adapt_channels=False,
):
    """Puts arrays into a model: all of them, or none and an error.

    Args:
        model: An encoder of `keras_mim.encoders`, `keras_mim.MAE`,
            `keras_mim.SimMIM` or `keras_mim.transfer.Classifier`.
        checkpoint: `Checkpoint`. For its name.
        arrays: dict of str to NumPy array, named as in `layout`.
        layout: str. See `keras_mim.converters.layouts.entries`.
        allow_missing: tuple of str. Beginnings of names that may be missing.
        grid: tuple of int or `None`. The checkpoint's `(height, width)` in
            patches; `None` works it out where it can.
        adapt_channels: bool. Whether a patch kernel may be fitted to another
            number of channels.

    Returns:
        `Report`.
    """
    wanted = entries(model, layout)
    missing = [name for name in wanted if name not in arrays]
    unused = [name for name in arrays if name not in wanted]
    refused = [n for n in missing if not n.startswith(tuple(allow_missing))]
    if refused:
        raise ValueError(
            f"{checkpoint.source} lacks {len(refused)} of the {len(wanted)} "
            f"weights of `{type(model).__name__}`: {abridged(refused)}. "
            f"{_advice(refused, wanted, model)} It holds: {abridged(arrays)}"
        )
    alone = not isinstance(model, (MaskedImageModel, Classifier))
    beside = NOT_THE_ENCODERS if alone else ()
    strangers = [name for name in unused if not name.startswith(beside)]
    if strangers:
        raise ValueError(
            f"{checkpoint.source} holds {len(strangers)} arrays that "
            f"`{type(model).__name__}` has no place for: {abridged(strangers)}"
        )
    values, reshaped = {}, {}
    for name, entry in wanted.items():
        if name in missing:
            continue
        where = f"{checkpoint.source}: `{name}`"
        array = as_float32(arrays[name], where)
        fitted = array
        if entry.kind == "window":
            fitted = fit_relative_positions(array, entry, None, where)
        elif entry.kind == "relative":
            fitted = fit_relative_positions(array, entry, grid, where)
        elif entry.kind is not None:
            fitted = fit_positions(array, entry, grid, where)
        elif adapt_channels and array.ndim == 4:
            fitted = fit_channels(array, entry.shape[1])
        if fitted.shape != entry.shape:
            raise ValueError(
                f"{where} must have shape {entry.shape}. "
                f"Received: shape {fitted.shape}"
            )
        if fitted.shape != array.shape:
            reshaped[name] = f"{array.shape} to {fitted.shape}"
        key = id(entry.variable)
        if key not in values:
            value = keras.ops.convert_to_numpy(entry.variable)
            values[key] = entry.variable, np.array(value)
        values[key][1][..., entry.where] = entry.to_keras(fitted)
    # Nothing can go wrong from here on: the model changes as a whole.
    for variable, value in values.values():
        variable.assign(value)
    loaded = tuple(name for name in wanted if name not in missing)
    return Report(
        checkpoint.source, loaded, tuple(unused), tuple(missing), reshaped
    )


def _advice(refused, wanted, model):
    """Says what a lack may mean, and how to allow it."""
    if len(refused) == len(wanted):
        return (
            "It has none of the names looked for: is this the right loader? "
            "`from_checkpoint` finds out which it is."
        )
    starts = sorted({_beginning(name) for name in refused})
    if set(starts) & BLOCKS:
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


def as_float32(array, where):
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
