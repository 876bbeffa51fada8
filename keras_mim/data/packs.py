import os
import zipfile

import numpy as np

from keras_mim._array_checks import check_labels
from keras_mim._checks import check_path
from keras_mim.data._classes import class_positions


def read_pack(path, split="train"):
    """Reads one split of a pack: an `.npz` file of JPEG files back to back.

    A pack holds, for a split `s`, `s_bytes` (uint8, the JPEG files one after
    the other), `s_offsets` (int64, where each begins, and the end of the
    last), `s_labels` (integers), and once `classes` (names).

    Args:
        path: str or path. The `.npz` file.
        split: str. Name of the split. Defaults to `"train"`.

    Returns:
        A tuple `(files, labels, class_names)`: a list of `bytes`, one JPEG
        file each; an int32 array of shape `(num_images,)`; a list of strings.

    Raises:
        ValueError: If the file is missing, or has no such split, or if a label
            is none of its classes.

    Example:

    >>> files, labels, class_names = read_pack("clothing64.npz", "test")
    """
    return read_split(path, split)


def read_split(path, split, with_labels=True, class_names=None):
    """As `read_pack`, but for other classes, or without labels.

    Args:
        path, split: as in `read_pack`.
        with_labels: bool. With `False`, labels and names are `None`, whatever
            the pack has for them. Defaults to `True`.
        class_names: list of str or `None`. The classes as they are to be
            numbered; `None` is as the pack does it. Defaults to `None`.

    Returns:
        A tuple `(files, labels, class_names)`.
    """
    check_path(path=path)
    file = os.path.expanduser(path)
    if not os.path.isfile(file) or not zipfile.is_zipfile(file):
        raise ValueError(
            f"`path` must be an existing .npz file. Received: path={path}"
        )
    with np.load(file, allow_pickle=False) as pack:
        ending = "_offsets"
        splits = [
            name.removesuffix(ending)
            for name in pack.files
            if name.endswith(ending)
        ]
        if split not in splits:
            raise ValueError(
                f"`split` must be one of the splits of {path}, {splits}. "
                f"Received: split={split}"
            )
        blob = pack[f"{split}_bytes"].tobytes()
        offsets = pack[f"{split}_offsets"].tolist()
        labels = names = None
        if with_labels:
            labels = pack[f"{split}_labels"]
            names = pack["classes"].tolist()
    files = [
        blob[start:end]
        for start, end in zip(offsets[:-1], offsets[1:], strict=True)
    ]
    if not with_labels:
        return files, None, None
    check_labels(labels, len(names), f"{split}_labels")
    if labels.shape != (len(files),):
        raise ValueError(
            f"`{split}_labels` must hold one label for each of the "
            f"{len(files)} images of {path}. Received: shape {labels.shape}"
        )
    labels = labels.astype("int32")
    if class_names is None:
        return files, labels, names
    labels = class_positions(labels, names, class_names, path)
    return files, labels, class_names
