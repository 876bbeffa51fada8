import keras
import numpy as np

from keras_mim.converters.layouts import entries
from keras_mim.ops import require


def to_torch_state_dict(model, layout="mae"):
    """Returns the weights as PyTorch projects know them.

    Args:
        model: `keras_mim.encoders.ViT`, or a `keras_mim.MAE` or
            `keras_mim.SimMIM` with its head.
        layout: str. `"mae"`: the names of MAE's files, which detectron2's
            ViTDet and mmsegmentation read too; `"timm"`: the same, and
            LayerScale; `"hf"`: transformers' ViTMAE, ViT and
            ViTForMaskedImageModeling. Defaults to `"mae"`.

    Returns:
        Dict of str to `torch.Tensor`, float32: for `load_state_dict` of MAE
        and timm; in transformers' case save it with
        `safetensors.torch.save_file` as `model.safetensors` beside a
        `config.json`, and use `from_pretrained`.
    """
    torch = require("torch", "convert")
    found = entries(model, layout)
    scales = [name for name in found if ".ls" in name]
    if scales and layout != "timm":
        raise ValueError(
            f"layout={layout!r} has no place for LayerScale. Received: an "
            f"encoder with {scales[0]!r}"
        )
    state = {}
    for name, entry in found.items():
        value = keras.ops.convert_to_numpy(entry.variable)
        array = entry.to_checkpoint(value.astype("float32"))
        # A copy: the tensors must not share memory with the model.
        state[name] = torch.tensor(np.ascontiguousarray(array))
    return state
