"""
Title: Published checkpoints in, PyTorch and KerasHub out
Author: The keras_mim authors
Date created: 2026/11/20
Last modified: 2026/11/20
Description: Load MAE's and transformers' weights, and hand yours on.
Accelerator: None
"""

"""
## Introduction

Others have spent the GPU years: the weights that MAE's authors published, and
those in timm and on the Hugging Face hub, load into keras_mim and compute what
they compute there. This guide loads a checkpoint, looks at what it fills in,
changes its resolution, and takes an encoder out again, to PyTorch and to
KerasHub. It needs the extra `convert`, and takes less than a minute.

keras_mim brings no weights along. Get `mae_visualize_vit_base.pth` from the
MAE project (its licence is non-commercial), and see what it fills in:

```bash
python examples/reconstruct.py --checkpoint mae_visualize_vit_base.pth photo.jpg
```

MAE's files come in kinds. `mae_pretrain_*` is the encoder alone, which has
nothing to fill hidden patches in with; `mae_pretrain_*_full` and
`mae_visualize_*` have the decoder too. The first two were trained on
normalised pixels, the last on raw ones. That is not in the files:
`from_checkpoint` goes by the name, and `normalize=` overrules it.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import torch

import keras_mim

OUTPUT = "runs/published_checkpoints"
os.makedirs(OUTPUT, exist_ok=True)
keras.utils.set_random_seed(0)

"""
Set `CHECKPOINT` to the file you have. Without one, this guide writes a small
file in the same layout, with random weights, so that all of it runs: then the
pictures are noise.
"""

checkpoint = os.environ.get("CHECKPOINT")
if checkpoint is None:
    checkpoint = f"{OUTPUT}/mae_visualize_vit_tiny.pth"
    encoder = keras_mim.encoders.ViT.from_size("tiny", (224, 224, 3), 16)
    mae = keras_mim.MAE(encoder)
    state = keras_mim.converters.to_torch_state_dict(mae, layout="mae")
    torch.save({"model": state}, checkpoint)

"""
## A checkpoint as a model

`from_checkpoint` reads the sizes off the arrays and builds the model: a `MAE`
when there is a decoder, else an encoder.
"""

mae = keras_mim.converters.from_checkpoint(checkpoint)
print(f"{mae.encoder.num_layers} blocks, {mae.encoder.hidden_dim} wide")

normalization = mae.encoder.normalization
images = keras_mim.data.read_images(
    ["examples/data/photos/skimage_chelsea.jpg"],
    mae.encoder.image_shape,
    normalization=normalization,
)
keras_mim.callbacks.save_reconstruction_grid(
    mae.reconstruct(images), f"{OUTPUT}/reconstruction.png", normalization
)

"""
A folder in transformers' layout works the same, and so does the hub, where
`facebook/vit-mae-base` is: `from_checkpoint("hf://facebook/vit-mae-base")`.

PyTorch files can hold code that runs when they are read. keras_mim never runs
it: such a file is refused, and so is a damaged one.

## A checkpoint into a model of yours

`load_mae` (and `load_timm_vit`, `load_hf_vit_mae`, `load_hf_vit`, `load_beit`,
`load_simmim`, `load_swin`) fills a model that exists. It is strict: every
weight must find its array, and every array its weight, or nothing is loaded and
the error says what is missing. The report tells what became of the file.
"""

encoder = mae.encoder
report = keras_mim.converters.load_mae(encoder, checkpoint)
print(report)

"""
## Another resolution

Position tables follow the grid: MAE's fixed one is computed anew, a learned one
is resized bicubically, as in PyTorch. Images need not be square.
"""

wide = keras_mim.converters.from_checkpoint(
    checkpoint, image_shape=(160, 320, 3)
)
print("grid:", wide.encoder.grid)

"""
## Out to PyTorch

`to_torch_state_dict` gives the weights under the names that PyTorch projects
know: `"mae"` for MAE's own code, detectron2's ViTDet and mmsegmentation,
`"timm"`, or `"hf"` for transformers.
"""

state = keras_mim.converters.to_torch_state_dict(encoder, layout="timm")
torch.save(state, f"{OUTPUT}/encoder.pth")
print(len(state), "tensors, the first:", next(iter(state)))

"""
And back, exactly:
"""

again = keras_mim.converters.from_checkpoint(f"{OUTPUT}/encoder.pth")
difference = np.abs(np.subtract(again(images), encoder(images))).max()
print("largest difference:", difference)

"""
## Out to KerasHub

With keras-hub installed, `to_keras_hub` gives a `ViTBackbone`, of a Swin a
`SwinTransformerBackbone`, that computes the same, for its classifiers and
presets; `from_keras_hub` turns one of its ViTs or Swins into an encoder, to
pre-train it further:

```python
backbone = keras_mim.converters.to_keras_hub(encoder)
classifier = keras_hub.models.ViTImageClassifier(
    backbone=backbone, num_classes=10
)
mae = keras_mim.MAE(keras_mim.converters.from_keras_hub(backbone))
```
"""
