import dataclasses
import json
import pathlib

import numpy as np

from keras_mim._requirements import require
from keras_mim.converters._torch_files import read_torch

HUB = "hf://"
TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".tar")
# In the order of preference: files of transformers' layout.
FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)

# What relative positions are computed with stands in some files, and is no
# weight: it follows from the size of the windows.
COORDINATES = "relative_coords_table"
BUFFERS = ("relative_position_index", "attn_mask", COORDINATES)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Arrays by name, as they stand in a file.

    Attributes:
        source: str. Where they come from, for messages.
        arrays: dict of str to NumPy array. Weights.
        config: dict. What transformers' `config.json` says; else empty.
        buffers: dict of str to NumPy array. What is computed, not learned.
    """

    source: str
    arrays: dict
    config: dict = dataclasses.field(default_factory=dict)
    buffers: dict = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, checkpoint):
        """Reads a checkpoint, without ever running code that it may hold.

        Args:
            checkpoint: A path or a dict of arrays (or torch tensors). Paths:
                a PyTorch file (`.pth`, `.pt`, `.bin`, `.ckpt`), `.safetensors`,
                `.npz`, a folder in transformers' layout, or `"hf://owner/name"`
                for such a folder on the Hugging Face hub.
        """
        if isinstance(checkpoint, dict):
            source = "the dict of arrays"
            return cls.of(source, unwrap(checkpoint, source))
        source = str(checkpoint)
        path = pathlib.Path(source)
        if source.startswith(HUB):
            path = download(source)
        if path.is_dir():
            return cls.of(source, *read_folder(path))
        if not path.exists():
            raise ValueError(
                "`checkpoint` must be a file, a folder, 'hf://owner/name' or "
                f"a dict of arrays. There is no {source!r}"
            )
        return cls.of(source, read_file(path))

    @classmethod
    def of(cls, source, content, config=None):
        """Separates what a file holds into weights and buffers."""
        arrays, buffers = {}, {}
        for name, array in content.items():
            computed = name.split(".")[-1] in BUFFERS
            (buffers if computed else arrays)[name] = array
        return cls(source, arrays, config or {}, buffers)


def download(source):
    """Fetches a repository of the Hugging Face hub; returns its folder."""
    hub = require("huggingface_hub", "convert")
    name = source.removeprefix(HUB)
    patterns = ["config.json", *FOLDER_FILES, "*.safetensors", "*.bin"]
    return pathlib.Path(hub.snapshot_download(name, allow_patterns=patterns))


def read_folder(path):
    """Returns the arrays and the configuration in a transformers folder."""
    found = [path / name for name in FOLDER_FILES if (path / name).exists()]
    if not found:
        raise ValueError(
            f"{path} must hold one of {list(FOLDER_FILES)}. "
            f"It holds: {sorted(p.name for p in path.iterdir())}"
        )
    if found[0].suffix == ".json":
        arrays = {}
        for name in sorted(set(read_json(found[0])["weight_map"].values())):
            arrays |= read_file(path / pathlib.Path(name).name)
    else:
        arrays = read_file(found[0])
    config = path / "config.json"
    return arrays, read_json(config) if config.exists() else {}


def read_json(path):
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


def read_file(path):
    """Returns the arrays of one file."""
    suffix = path.suffix.lower()
    if suffix in TORCH_SUFFIXES:
        content = read_torch(path)
    elif suffix == ".safetensors":
        content = read_safetensors(path)
    elif suffix == ".npz":
        content = read_npz(path)
    else:
        known = [*TORCH_SUFFIXES, ".safetensors", ".npz"]
        raise ValueError(
            f"The name of a checkpoint must end in one of {known}. "
            f"Received: {path}"
        )
    return unwrap(content, path)


def read_safetensors(path):
    safetensors = require("safetensors.numpy", "convert")
    try:
        return safetensors.load_file(path)
    # Whatever goes wrong in a damaged file is the file's fault.
    except Exception as error:
        raise ValueError(
            f"{path} is not a whole safetensors file: {error!r}"
        ) from error


def read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception as error:  # As above.
        raise ValueError(
            f"{path} is not a whole .npz file: {error!r}"
        ) from error


def unwrap(content, source):
    """Returns the dict of arrays inside what a training script saved."""
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ValueError(
            f"{source} must hold a dict of arrays. "
            f"It holds a {type(content).__name__}"
        )
    arrays = {}
    for name, value in content.items():
        if type(value).__module__ == "torch":
            # NumPy has no bfloat16 that torch would convert to.
            value = value.detach().cpu()
            value = value.float() if value.is_floating_point() else value
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
            raise ValueError(
                f"{source}: {name!r} must be an array of numbers. "
                f"It is a {type(value).__name__} of dtype {array.dtype}"
            )
        arrays[str(name)] = array
    if arrays and all(name.startswith("module.") for name in arrays):
        # Saved from inside torch's DistributedDataParallel.
        arrays = {k.removeprefix("module."): v for k, v in arrays.items()}
    return arrays
