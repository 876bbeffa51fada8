import pathlib

from keras_mim._checks import check_path

# Of protocol buffers and flatbuffers, which hold a model in one file.
MOST_BYTES = 2**31


def check_one_file(name, model, path, kind):
    """Checks that a model fits into one file, and returns the file's path.

    Args:
        name: str. The argument that the model is.
        model: `keras.Model`, in float32.
        path: str or path. The file to write.
        kind: str. What it is, with an article.

    Returns:
        `pathlib.Path`.

    Raises:
        ValueError: If the model is too large, or the path is no file's.
    """
    check_path(path=path)
    size = 4 * model.count_params()
    if size >= MOST_BYTES:
        article = "an" if name[0] in "aeiou" else "a"
        raise ValueError(
            f"`{name}` must be smaller than 2 GB, the most that {kind} "
            f"holds. Received: {article} {name} of {size / 1e9:.1f} GB"
        )
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(
            f"`path` must be a file. Received: path={str(path)!r}, a folder"
        )
    return path
