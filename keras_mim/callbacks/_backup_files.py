"""What a backup is on the disk: one file, which is whole or set aside.

It is an `.npz` archive: an array for each variable, and `facts.json`. A zip
archive keeps a checksum of all that it holds.
"""

import json
import warnings
import zipfile

import keras
import numpy as np

from keras_mim._files import PARTIAL
from keras_mim._files import remove
from keras_mim._files import whole

FACTS = "facts.json"
NAME = "epoch_{epoch:06d}_step_{step:09d}.npz"
# If the last one is damaged, there is the one before.
NUM_KEPT = 2
# The group of variables whose values may be anything.
METRICS = "metrics"


def find_backups(folder):
    """Returns the paths of the backups in a folder, the newest first."""
    return sorted(folder.glob("epoch_*_step_*.npz"), reverse=True)


def write_backup(folder, facts, groups):
    """Writes a backup in one step, and removes those that are too old.

    Args:
        folder: `pathlib.Path`.
        facts: dict of what JSON can hold, with `"epoch"` and `"step"`.
        groups: dict of str to iterables of pairs: the name of a variable and
            its value, an array.

    Returns:
        `pathlib.Path` of the file.

    Raises:
        FloatingPointError: If a value is not finite, but for metrics.
        OSError: If it cannot be written. What was there is there still.
    """
    path = folder / NAME.format(**facts)
    shapes = {group: [] for group in groups}
    try:
        with whole(path) as partial, zipfile.ZipFile(partial, "w") as archive:
            for group, pairs in groups.items():
                for i, (name, value) in enumerate(pairs):
                    if group != METRICS:
                        check_finite(value, name, "A backup")
                    shapes[group].append([name, list(value.shape)])
                    entry = f"{group}/{i}.npy"
                    with archive.open(entry, "w", force_zip64=True) as file:
                        np.lib.format.write_array(file, value)
            archive.writestr(FACTS, json.dumps({**facts, "shapes": shapes}))
    except OSError as error:
        others = find_backups(folder)
        left = f"{others[0]} is whole" if others else "there is none before it"
        message = f"{error.strerror or error}: no backup was written; {left}"
        raise OSError(error.errno, message, str(path)) from error
    # What a process was killed at, too.
    for old in [*find_backups(folder)[NUM_KEPT:], *folder.glob(f"{PARTIAL}*")]:
        old.unlink()
    return path


def find_whole(folder, sets_aside):
    """Finds the newest backup that is whole.

    Args:
        folder: `pathlib.Path`.
        sets_aside: bool. Whether to rename damaged ones. One process does.

    Returns:
        Its path and its facts, or `None` where there is no backup.

    Raises:
        ValueError: If there are backups, but all are damaged.
    """
    paths = find_backups(folder)
    for path in paths:
        try:
            return path, _read_facts(path)
        except FileNotFoundError:
            continue  # Another process has set it aside.
        except (OSError, MemoryError):
            raise
        except Exception as error:  # Changed bytes can make any of Python's.
            aside = path.with_name(f"{path.name}.damaged")
            warnings.warn(
                f"The backup {path} is damaged ({error}). It is set aside as "
                f"{aside.name}, and the one before it is used.",
                stacklevel=2,
            )
            if sets_aside:
                path.replace(aside)
    set_aside = sorted(folder.glob("*.damaged"))
    if paths or set_aside:
        raise ValueError(
            "No backup to resume from is whole. To train from the beginning, "
            f"remove the folder {folder}. Received: "
            + ", ".join(path.name for path in [*paths, *set_aside])
        )
    return None


def _read_facts(path):
    with zipfile.ZipFile(path) as archive:
        changed = archive.testzip()
        if changed is not None:
            raise zipfile.BadZipFile(f"{changed} is not as it was written")
        facts = json.loads(archive.read(FACTS))
        if len(facts["history"]) != facts["epoch"]:
            raise ValueError(f"no history of {facts['epoch']} epochs in it")
        for group, described in facts["shapes"].items():
            for i in range(len(described)):
                archive.getinfo(f"{group}/{i}.npy")
    return facts


def read_group(path, facts, group, variables):
    """Reads the values of variables, and checks that they are theirs.

    Args:
        path: `pathlib.Path` of the backup.
        facts: dict. What is in it, as `find_whole` returns it.
        group: str. A key of the `groups` that were written.
        variables: list of Keras variables: those to get the values.

    Returns:
        list of NumPy arrays.

    Raises:
        ValueError: If the variables have other shapes.
        FloatingPointError: If a value is not finite.
    """
    saved = facts["shapes"][group]
    for (name, shape), variable in zip(saved, variables):
        if tuple(shape) != tuple(variable.shape):
            raise ValueError(
                f"The backup {path} is of another model. In it, {name} has "
                f"the shape {tuple(shape)}. Received: {variable.path} of the "
                f"shape {tuple(variable.shape)}"
            )
    if len(saved) != len(variables):
        raise ValueError(
            f"The backup {path} is of another model: its {group} has "
            f"{len(saved)} variables. Received: {len(variables)}"
        )
    values = []
    with zipfile.ZipFile(path) as archive:
        for i, (name, _) in enumerate(saved):
            with archive.open(f"{group}/{i}.npy") as file:
                value = np.lib.format.read_array(file)
            if group != METRICS:
                check_finite(value, name, f"The backup {path}")
            values.append(value)
    return values


def check_finite(value, name, what):
    """Raises a `FloatingPointError` for numbers that are not finite."""
    bad = np.count_nonzero(~np.isfinite(value))
    if bad:
        raise FloatingPointError(
            f"{what} must hold finite numbers. Received: {bad} of the "
            f"{value.size} numbers in {name} are NaN or infinite"
        )


def named_values(variables):
    """Yields the names of variables, and their values as NumPy can write them.

    Args:
        variables: list of Keras variables.
    """
    for variable in variables:
        value = keras.ops.convert_to_numpy(variable)
        # NumPy does not know bfloat16 and its like; float32 holds all of them.
        known = value.dtype.kind != "V"
        yield variable.path, value if known else value.astype("float32")


def remove_backups(folder):
    """Removes a folder of backups, the newest one last."""
    for path in reversed(find_backups(folder)):
        path.unlink()
    remove(folder)
