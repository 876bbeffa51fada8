"""Files that are there as a whole or not at all."""

import contextlib
import errno
import os
import pathlib
import shutil

# So that a name keeps its ending, which tells others what to write.
PARTIAL = ".partial-"


@contextlib.contextmanager
def whole(path):
    """Gives a path to write a file or a folder to, and then makes it `path`.

    What was there before stays until all is written and on the disk. A process
    that is killed leaves it as it was, and so does an error.

    Args:
        path: str or path. Its folder is made, too.

    Yields:
        `pathlib.Path` beside it, with the same ending.
    """
    path = pathlib.Path(path)
    partial = path.with_name(PARTIAL + path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(partial)
    try:
        yield partial
        for file in [partial, *partial.rglob("*")]:
            _sync(file)
        if path.is_dir():
            # Nothing replaces a folder in one step: there is none in between.
            old = path.with_name(f"{PARTIAL}old-{path.name}")
            remove(old)
            path.rename(old)
            partial.rename(path)
            remove(old)
        else:
            os.replace(partial, path)
    except BaseException:
        remove(partial)
        raise
    _sync(path.parent)


def remove(path):
    """Removes a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path):
    """Has a file, or the names in a folder, written to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync folders.
        if not path.is_dir() or error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
