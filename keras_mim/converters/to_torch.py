import keras
import numpy as np

from keras_mim._requirements import require
from keras_mim.converters.layouts import layout_of


def to_torch_state_dict(model, layout="mae"):
    """Returns the weights as PyTorch projects know them.

    Args:
        model: An encoder of `keras_mim.encoders`, or a `keras_mim.MAE`,
            `keras_mim.SimMIM` or `keras_mim.transfer.Classifier` with its head.
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

    Raises:
        ValueError: If the layout has no place for one of the weights, or they
            are quantized. LoRA is merged.
    """
    torch = require("torch", "convert")
    # A copy: the tensors must not share memory with the model.
    return {
        name: torch.tensor(np.ascontiguousarray(array))
        for name, array in as_arrays(model, layout_of(model, layout)).items()
    }


def as_arrays(model, layout):
    """Returns the weights of a model by their names in a `Layout`."""
    entries = layout.entries(model)
    strangers = [name for name in entries if layout.has_no_place(name)]
    if strangers:
        raise ValueError(
            f"layout={layout.name!r} has no place for {strangers[0]!r}. "
            f"Received: a model with {len(strangers)} such weights"
        )
    for layer in model._flatten_layers():
        # Those of float8 are floats all the same.
        if layer.quantization_mode not in (None, "float8"):
            raise ValueError(
                "A quantized model does not hold the numbers to write: convert "
                f"it before it is quantized. Received: `{layer.path}` with "
                f"quantization_mode={layer.quantization_mode!r}"
            )
    arrays = {}
    for name, entry in entries.items():
        value = keras.ops.convert_to_numpy(entry.variable)
        arrays[name] = entry.to_checkpoint(value.astype("float32"))
    return arrays
