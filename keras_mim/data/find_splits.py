import re
from collections.abc import Iterable

from keras_mim._checks import check
from keras_mim._checks import check_flags

# What data sets call their splits, in any case.
KNOWN = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
ENDINGS = ("", "set", "sets", "data", "images", "imgs", "img")


def find_splits(names, classes=False, train=None, validation=None, test=None):
    """Tells which splits of a data set are for training, validation and test.

    Known are the names train and training; validation, valid, val and dev;
    test and testing; in any case. It does not guess: two names for one split,
    names that look like a split's but are not known, such as "test_images",
    and splits without one to train on are errors.

    Args:
        names: iterable of str. Names of the splits, or of the folders in a
            folder.
        classes: bool. Whether the names may be those of classes as well, as
            folders may be. Defaults to `False`.
        train: str or `None`. The name of the training split, where it is
            known: it is not looked for. `None` looks for it. Defaults to
            `None`.
        validation: str or `None`. Likewise; `""` is none. Defaults to `None`.
        test: str or `None`. Likewise. Defaults to `None`.

    Returns:
        dict of "train", "validation" and "test" to str, or to `None` where
        there is no such split. With `classes=True`, where no name is a split's,
        "train" is `"."`, the whole folder.

    Raises:
        ValueError: If the names can be understood in several ways, or in none,
            or if a split is for training and for something else.

    Example:

    >>> find_splits(["Train", "valid", "test"])
    {'train': 'Train', 'validation': 'valid', 'test': 'test'}
    """
    check_flags(classes=classes)
    right = isinstance(names, Iterable) and not isinstance(names, (str, bytes))
    names = list(names) if right else names
    right = right and all(isinstance(name, str) for name in names)
    check(right, "names", names, "an iterable of strings")
    for split, name in zip(KNOWN, (train, validation, test)):
        right = name is None or isinstance(name, str)
        check(right, split, name, "a string or None")
    names = sorted(names)
    given = {"train": train, "validation": validation, "test": test}
    known = {split: [n for n in names if _is(n, split)] for split in KNOWN}
    alike = {split: [n for n in names if _like(n, split)] for split in KNOWN}
    if classes and not any(given.values()):
        count = sum(map(len, known.values()))
        if not count and not _has_two(alike):
            return {"train": ".", "validation": None, "test": None}
        if 0 < count < len(names) and not _has_two(known):
            raise ValueError(
                "Some folders are named like splits, and others are not: they "
                "may be classes, or splits with other names. "
                f"Received: {names}"
            )
    found = {
        split: given[split] or None
        if given[split] is not None
        else _only(split, known[split], alike[split], names)
        for split in KNOWN
    }
    if found["train"] is None:
        raise ValueError(
            f"No split is known as the one to train on. Received: {names}"
        )
    held_out = [found["validation"], found["test"]]
    if found["train"] in held_out or (found["train"] == "." and any(held_out)):
        raise ValueError(
            "What is watched or judged must not be trained on. "
            f"Received: {found}"
        )
    return found


def look_like_splits(names):
    """Returns whether names of folders are those of splits, not of classes."""
    known = {s: [n for n in names if _is(n, s)] for s in KNOWN}
    return _has_two(known) or len(names) == sum(map(len, known.values()))


def _only(split, known, alike, names):
    """Returns the one name of a split, or None."""
    if len(known) == 1:
        return known[0]
    if not alike:
        return None
    raise ValueError(
        f"One name must be that of the {split} split, but "
        f"{' and '.join(map(repr, known or alike))} may be. Received: {names}"
    )


def _has_two(found):
    return bool(found["train"] and (found["validation"] or found["test"]))


def _is(name, split):
    return name.lower() in KNOWN[split]


def _like(name, split):
    words = re.findall("[a-z]+", name.lower())
    like = {known + ending for known in KNOWN[split] for ending in ENDINGS}
    if split != "test":
        like |= {"trainval"} if split == "train" else {"eval", "evaluation"}
    return not like.isdisjoint(words)
