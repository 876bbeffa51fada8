import re

import keras
import numpy as np

from keras_mim.converters.layouts import encoder_of
from keras_mim.converters.layouts import entries
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2
from keras_mim.ops import require

HEAD = re.compile(r"^decoder_")
# Likewise the extra norms of the largest Swins v2.
EXTRA_NORM = re.compile(r"^decoder_|\.norm3\.")
# LayerScale, relative positions, and queries and values with a bias alone.
NO_PLACE = {
    "mae": re.compile(r"\.ls\d|relative_position|\.[qv]_bias|decoder\.0"),
    "hf": re.compile(r"\.ls\d|relative_position|\.[qv]_bias"),
    "timm": re.compile(r"relative_position|\.[qv]_bias"),
    "beit": HEAD,
    "simmim": re.compile(r"^decoder_"),
}


def to_torch_state_dict(model, layout="mae"):
    """Returns the weights as PyTorch projects know them.

    Args:
        model: An encoder of `keras_mim.encoders`, or a `keras_mim.MAE` or
            `keras_mim.SimMIM` with its head.
        layout: str. `"mae"`: the names of MAE's files, which detectron2's
            ViTDet and mmsegmentation read too; `"timm"`: the same, and
            LayerScale; `"beit"` and `"simmim"`: those projects'; `"hf"`:
            transformers' ViTMAE, ViT and ViTForMaskedImageModeling.
            Of a Swin, v1 or v2: `"swin"` (Microsoft's), `"timm"`, `"hf"` or
            `"simmim"`.
            Defaults to `"mae"`.

    Returns:
        Dict of str to `torch.Tensor`, float32: for `load_state_dict` of MAE
        and timm; in transformers' case save it with
        `safetensors.torch.save_file` as `model.safetensors` beside a
        `config.json`, and use `from_pretrained`.
    """
    torch = require("torch", "convert")
    # A copy: the tensors must not share memory with the model.
    return {
        name: torch.tensor(np.ascontiguousarray(array))
        for name, array in as_arrays(model, layout).items()
    }


def as_arrays(model, layout):
    """Returns the same as NumPy arrays, for which torch is not needed."""
    found = entries(model, layout)
    if isinstance(encoder_of(model), (Swin, SwinV2)):
        no_place = EXTRA_NORM if layout in ("hf", "timm") else HEAD
    else:
        no_place = NO_PLACE[layout]
    strangers = [name for name in found if no_place.search(name)]
    if strangers:
        raise ValueError(
            f"layout={layout!r} has no place for {strangers[0]!r}. "
            f"Received: a model with {len(strangers)} such weights"
        )
    arrays = {}
    for name, entry in found.items():
        value = keras.ops.convert_to_numpy(entry.variable)
        arrays[name] = entry.to_checkpoint(value.astype("float32"))
    return arrays
