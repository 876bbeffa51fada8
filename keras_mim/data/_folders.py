import os
import pathlib

import numpy as np

from keras_mim.data._checks import check_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def find_images(path, labels=False):
    """Lists the image files below a folder, sorted by path.

    Hidden files and folders (names that begin with a dot) are left out, and
    links are followed. The class of a file is the folder directly below
    `path` that it lies in; classes are numbered in sorted order, and a class
    folder without images keeps its number, so that the splits of a data set
    agree.

    Args:
        path: string or path. The folder.
        labels: bool. Whether to number the classes. Defaults to `False`.

    Returns:
        A pair `(files, labels)`: a list of strings, and an int32 array of
        shape `(num_images,)`, or `None` with `labels=False`.

    Raises:
        ValueError: if the folder is missing or holds no image file, or if
            labels are asked for and an image lies outside a class folder.
    """
    check_path("path", path)
    root = pathlib.Path(path)
    if not root.is_dir():
        raise ValueError(
            f"`path` must be an existing folder of images ({_suffixes()}). "
            f"Received: path={path}"
        )
    files = []
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if name[0] != "."]
        for name in names:
            if name[0] != "." and name.lower().endswith(SUFFIXES):
                files.append(pathlib.Path(folder, name))
    if not files:
        raise ValueError(
            "`path` must hold images, but there is no file that ends in "
            f"{_suffixes()} in it or below it. Received: path={path}"
        )
    files.sort()
    if not labels:
        return [str(file) for file in files], None
    flat = [str(file) for file in files if file.parent == root]
    if flat:
        raise ValueError(
            "`labels=True` needs every image in a class folder below `path`, "
            f"but {len(flat)} lie directly in it, the first being {flat[0]}. "
            f"Received: path={path}"
        )
    classes = sorted(
        entry.name
        for entry in root.iterdir()
        if entry.is_dir() and entry.name[0] != "."
    )
    number = {name: index for index, name in enumerate(classes)}
    numbers = [number[file.relative_to(root).parts[0]] for file in files]
    return [str(file) for file in files], np.asarray(numbers, "int32")


def _suffixes():
    return ", ".join(SUFFIXES)
