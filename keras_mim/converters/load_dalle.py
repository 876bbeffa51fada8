import os
import pathlib

import keras

from keras_mim.converters._assignment import assign
from keras_mim.converters._checkpoint import Checkpoint
from keras_mim.converters._entries import Entry
from keras_mim.converters._entries import Form
from keras_mim.converters._renaming import rename
from keras_mim.targets import DalleEncoder

CONVERT = (
    'torch.save(torch.load("encoder.pkl", weights_only=False).state_dict(), '
    '"encoder.pth")'
)

# Our layers -> DALL-E's modules.
NAMES = (
    (r"^input$", "blocks.input"),
    (r"^output$", "blocks.output.conv"),
    (r"^group_(\d+)_block_(\d+)_", r"blocks.group_\1.block_\2."),
    (r"\.conv_", ".res_path.conv_"),
    (r"\.identity$", ".id_path"),
)

# Convolutions: `(out, in, height, width)` and `(height, width, in, out)`.
KERNEL = Form(
    lambda x: x.transpose(2, 3, 1, 0), lambda x: x.transpose(3, 2, 0, 1)
)


def load_dalle(encoder, checkpoint):
    """Loads the published weights of DALL-E's image tokenizer.

    The published file, `encoder.pkl`, is not a checkpoint but a pickled module:
    loading it runs code. Have torch write its weights to a file of their own,
    once, where openai/DALL-E is installed (`pip install
    git+https://github.com/openai/DALL-E.git`) and the file is trusted:

        torch.save(torch.load("encoder.pkl", weights_only=False).state_dict(),
                   "encoder.pth")

    Every weight must be there, and nothing else. The encoder changes as a whole
    or not at all.

    Args:
        encoder: `keras_mim.targets.DalleEncoder`.
        checkpoint: A path (PyTorch file, `.safetensors`, `.npz`) or a dict of
            arrays or torch tensors, in the names of openai/DALL-E:
            `blocks.input.w`, `blocks.group_1.block_1.res_path.conv_1.w`, ...

    Returns:
        `keras_mim.converters.Report`: what was loaded.

    Raises:
        ValueError: If the checkpoint is damaged, holds code, has NaNs, or does
            not match the encoder; it names file, array and both shapes.
    """
    if not isinstance(encoder, DalleEncoder):
        raise ValueError(
            "`encoder` must be a `keras_mim.targets.DalleEncoder`. "
            f"Received: encoder={encoder!r}"
        )
    is_path = isinstance(checkpoint, (str, os.PathLike))
    if is_path and pathlib.Path(checkpoint).suffix == ".pkl":
        raise ValueError(
            f"{checkpoint} is a pickled module, which runs code when it is "
            "loaded, so it is refused. Where openai/DALL-E is installed, save "
            f"its weights alone: {CONVERT}"
        )
    checkpoint = Checkpoint.read(checkpoint)
    return assign(encoder, _entries(encoder), checkpoint)


def _entries(encoder):
    """Returns the weights of an encoder by DALL-E's names, as `Entry`s."""
    found = {}
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.Conv2D):
            name = rename(layer.name, NAMES)
            found[f"{name}.w"] = Entry(layer.kernel, KERNEL)
            found[f"{name}.b"] = Entry(layer.bias)
    return found
