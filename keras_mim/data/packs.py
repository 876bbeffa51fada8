import pathlib
import zipfile

import numpy as np

from keras_mim.data._checks import check_path


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
        ValueError: If the file is missing, or has no such split.

    Example:

    >>> files, labels, class_names = read_pack("clothing64.npz", "test")
    """
    check_path("path", path)
    if not pathlib.Path(path).is_file() or not zipfile.is_zipfile(path):
        raise ValueError(
            f"`path` must be an existing .npz file. Received: path={path}"
        )
    with np.load(path, allow_pickle=False) as pack:
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
        labels = pack[f"{split}_labels"].astype("int32")
        class_names = pack["classes"].tolist()
    files = [
        blob[start:end]
        for start, end in zip(offsets[:-1], offsets[1:], strict=True)
    ]
    return files, labels, class_names
