import dataclasses
import json
import os
import pathlib

import numpy as np

from keras_mim._checks import check
from keras_mim._checks import check_grid
from keras_mim._requirements import require
from keras_mim.converters._torch_files import read_torch
from keras_mim.converters._unwrapping import DICT
from keras_mim.converters._unwrapping import options
from keras_mim.converters._unwrapping import unwrap

HUB = "hf://"
TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".tar")
# In the order of preference: files of transformers' layout.
FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
CONFIGURATIONS = ("config.json", "preprocessor_config.json")

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
        config: dict. What `config.json` says, transformers' or timm's, or
            what is known of the options of a training script.
        preprocessor: dict. What transformers' `preprocessor_config.json` says.
        buffers: dict of str to NumPy array. What is computed, not learned.
        outside: tuple of str. Names of arrays that stand beside the weights.
        taken: str. Where in the file the weights were.
    """

    source: str
    arrays: dict
    config: dict = dataclasses.field(default_factory=dict)
    preprocessor: dict = dataclasses.field(default_factory=dict)
    buffers: dict = dataclasses.field(default_factory=dict)
    outside: tuple = ()
    taken: str = ""

    @classmethod
    def read(cls, checkpoint):
        """Reads a checkpoint, without ever running code that it may hold.

        Args:
            checkpoint: A path or a dict of arrays (or torch tensors). Paths:
                a PyTorch file (`.pth`, `.pt`, `.bin`, `.ckpt`), `.safetensors`,
                `.npz`, a folder in transformers' layout, or `"hf://owner/name"`
                for such a folder on the Hugging Face hub. After a `#`, which
                of several sets of weights: `"file.pth#model_ema"`.
        """
        if isinstance(checkpoint, dict):
            return cls.of(DICT, checkpoint)
        right = isinstance(checkpoint, (str, os.PathLike))
        expected = "a path, 'hf://owner/name' or a dict of arrays"
        check(right, "checkpoint", checkpoint, expected)
        source = str(checkpoint)
        path, _, label = source.partition("#")
        if pathlib.Path(source).exists():  # A name that holds the sign.
            path, label = source, ""
        path = download(path) if path.startswith(HUB) else pathlib.Path(path)
        if path.is_dir():
            return cls.of(source, *read_folder(path), label=label)
        if not path.exists():
            raise ValueError(
                "`checkpoint` must be a file, a folder, 'hf://owner/name' or "
                f"a dict of arrays. There is no {source!r}"
            )
        return cls.of(source, read_file(path), label=label)

    @classmethod
    def of(cls, source, content, config=None, preprocessor=None, label=""):
        """Separates what was saved into weights, buffers and the rest."""
        weights = unwrap(content, source.partition("#")[0], label)
        arrays, buffers = {}, {}
        for name, array in weights.arrays.items():
            computed = name.split(".")[-1] in BUFFERS
            (buffers if computed else arrays)[name] = array
        return cls(
            source,
            arrays,
            config or options(content),
            preprocessor or {},
            buffers,
            weights.outside,
            weights.taken,
        )


def download(source):
    """Fetches a repository of the Hugging Face hub; returns its folder."""
    hub = require("huggingface_hub", "convert")
    name = source.removeprefix(HUB)
    patterns = [*CONFIGURATIONS, *FOLDER_FILES, "*.safetensors", "*.bin"]
    return pathlib.Path(hub.snapshot_download(name, allow_patterns=patterns))


def check_load(allow_missing, grid):
    """Raises a `ValueError` unless these are what loading takes."""
    right = isinstance(allow_missing, (tuple, list, set, frozenset))
    right = right and all(isinstance(x, str) for x in allow_missing)
    check(right, "allow_missing", allow_missing, "a tuple of strings")
    check_grid(grid, or_none=True)


def read_folder(path):
    """Returns the content and both configurations of a folder."""
    found = [path / name for name in FOLDER_FILES if (path / name).exists()]
    if not found:
        raise ValueError(
            f"{path} must hold one of {list(FOLDER_FILES)}. "
            f"It holds: {sorted(p.name for p in path.iterdir())}"
        )
    if found[0].suffix == ".json":
        content = {}
        for name in sorted(set(read_json(found[0])["weight_map"].values())):
            part = read_file(path / pathlib.Path(name).name)
            content |= part if isinstance(part, dict) else {name: part}
    else:
        content = read_file(found[0])
    files = [path / name for name in CONFIGURATIONS]
    return content, *(read_json(x) if x.exists() else {} for x in files)


def read_json(path):
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


def read_file(path):
    """Returns what one file holds."""
    suffix = path.suffix.lower()
    if suffix in TORCH_SUFFIXES:
        return read_torch(path)
    if suffix == ".safetensors":
        return read_safetensors(path)
    if suffix == ".npz":
        return read_npz(path)
    known = [*TORCH_SUFFIXES, ".safetensors", ".npz"]
    raise ValueError(
        f"The name of a checkpoint must end in one of {known}. Received: {path}"
    )


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
