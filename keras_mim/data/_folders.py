import os
import pathlib
import warnings

import numpy as np

from keras_mim._checks import check_path
from keras_mim.data._classes import class_positions
from keras_mim.data._walk import Walk
from keras_mim.data._walk import printable
from keras_mim.data.find_splits import look_like_splits

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
SUFFIXES += (".png", ".webp", ".bmp", ".gif")
# Of images that cannot be decoded here.
OTHER_SUFFIXES = (".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2")
OTHER_SUFFIXES += (".j2k", ".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".ico")
OTHER_SUFFIXES += (".psd", ".svg", ".exr", ".hdr", ".dcm", ".dng", ".cr2")
OTHER_SUFFIXES += (".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw")
MAX_NAMES = 10


def find_images(path, labels=False, class_names=None):
    """Lists the image files below a folder, sorted by path.

    Hidden files and folders (names that begin with a dot) are left out. Links
    are followed, and each file is listed once, whatever links lead to it. What
    looks like an image and is not listed is named in one warning.

    The class of a file is the folder directly below `path` that it lies in.
    Without `class_names`, classes are numbered in sorted order, and a class
    folder without images keeps its number.

    Args:
        path: str or path. The folder. A leading `~` is the user's own.
        labels: bool. Whether to number the classes. Defaults to `False`.
        class_names: list of str or `None`. The classes in their order, of
            which the folder may hold some. Defaults to `None`.

    Returns:
        A tuple `(files, labels, class_names)`: a list of strings, as `os` has
        them; an int32 array of shape `(num_images,)`, and the names of the
        classes; both `None` with `labels=False`.

    Raises:
        ValueError: if the folder is missing or holds no image file, or, with
            labels, if an image lies outside a class folder, in two, or in one
            that `class_names` lacks, or if the folders are no classes.
    """
    check_path(path=path)
    root = str(pathlib.Path(os.path.expanduser(path)))
    if not os.path.isdir(root):
        raise ValueError(
            f"`path` must be an existing folder of images ({_suffixes()}). "
            f"Received: path={path}"
        )
    walk = Walk(root, lambda name: name.lower().endswith(SUFFIXES))
    left_out = _left_out(walk)
    if not walk.files:
        raise ValueError(
            "`path` must hold images, but there is no file that ends in "
            f"{_suffixes()} in it or below it. Received: path={path}"
            + "".join(f"\nLeft out: {line}" for line in left_out)
        )
    files = sorted(walk.files, key=lambda file: file.split(os.sep))
    numbers = names = None
    if labels:
        numbers, names = _classes_of(files, root, walk, class_names)
        if class_names is None:
            empty = [name for i, name in enumerate(names) if i not in numbers]
            if empty:
                left_out.append(f"class folders without an image, {empty}")
    if left_out:
        warnings.warn(
            "\n".join([f"Left out in {printable(root)}:", *left_out]),
            stacklevel=3,  # The user's line.
        )
    return files, numbers, names


def _classes_of(files, root, walk, class_names):
    """Returns the number of each file's class, and the names of classes."""
    prefix = os.path.join(root, "")
    parts = [file.removeprefix(prefix).split(os.sep, 1) for file in files]
    flat = [file for file, part in zip(files, parts) if len(part) == 1]
    if flat:
        raise ValueError(
            "`labels=True` needs every image in a class folder below `path`, "
            f"but {len(flat)} lie directly in it, the first being "
            f"{printable(flat[0])}. Received: path={root}"
        )
    if walk.twice:
        first, other = map(printable, walk.twice[0])
        raise ValueError(
            "`labels=True` needs every image in one class folder, but links "
            f"put {first} into {other} too, and {len(walk.twice) - 1} more "
            f"files or folders into two. Received: path={root}"
        )
    folders = sorted(walk.folders)
    if class_names is None and look_like_splits(folders):
        raise ValueError(
            "`labels=True` takes the folders directly below `path` for "
            f"classes, but they look like splits: {folders}. Pass one of "
            "them, or `class_names` if these are classes. Received: "
            f"path={root}"
        )
    names = [_class_name(folder) for folder in folders]
    place = {folder: i for i, folder in enumerate(folders)}
    numbers = np.array([place[part[0]] for part in parts], "int32")
    if class_names is None:
        return numbers, names
    return class_positions(numbers, names, class_names, root), class_names


def _left_out(walk):
    """Returns lines on what looks like images and is not listed."""
    others = [
        f"{count} {suffix} files, a format that is not read, the first being "
        f"{printable(first)}"
        for suffix, (count, first) in sorted(walk.others.items())
        if suffix in OTHER_SUFFIXES
    ]
    problems = walk.problems[:MAX_NAMES]
    if len(walk.problems) > MAX_NAMES:
        problems.append(f"and {len(walk.problems) - MAX_NAMES} more")
    return others + problems


def _class_name(folder):
    # Names go into files and graphs, which hold UTF-8 alone.
    return folder.encode("utf-8", "backslashreplace").decode()


def _suffixes():
    return ", ".join(SUFFIXES)
