"""Wrong values, by the kind of an argument."""

import keras
import numpy as np

from keras_mim import Normalization

NAN, INF = float("nan"), float("inf")
LARGE = 2**40
# What is wrong wherever a number is wanted.
NO_NUMBERS = (NAN, INF, -INF, "x", None, True, [], {}, 1j)
NO_OBJECTS = (None, "x", 5, 1.5, NAN, True, [], {}, keras.layers.Dense(1))

WRONG = {
    "count": (0, -1, 1.5, LARGE, np.float32(1), np.array([1, 2]), *NO_NUMBERS),
    "natural": (-1, 1.5, LARGE, np.float32(1), *NO_NUMBERS),
    "flag": (None, "x", 0, 1, 2, 1.5, NAN, [], {}),
    "choice": (None, "x", "", 0, 1, True, [], {}, NAN),
    "text": (None, 5, 1.5, True, [], {}, NAN),
    "seed": (-1, LARGE, 1.5, NAN, INF, "x", True, [], {}),
    "any_seed": (2**70, 1.5, NAN, INF, "x", True, [], {}),
    "path": (None, "", 5, 1.5, True, [], {}, NAN),
    "initializer": (None, "x", 1.5, NAN, True, []),
    "normalization": ("x", 5, 0.5, NAN, True, [], {}, (0.5, 0.5)),
    "object": NO_OBJECTS,
    "layer": NO_OBJECTS[:-1],
    "dataset": NO_OBJECTS[:-1],
    # What can be anything, or something that an entry says itself.
    "nothing": (),
    "unknown": (),
    "names": ("x", 5, [], [1, 2], ["a", "a"], NAN, True),
    "sizes": (
        *(None, "x", 5, 1.5, NAN, True, (), {}),
        *((8,), (0, 8), (8, -8), (8.0, 8), (NAN, 8), (True, 8), ("x", 8)),
        *((LARGE, 8), (8, 8, 8, 8)),
    ),
    "image_shape": (
        *(None, "x", 5, 1.5, NAN, True, (), {}, (8, 12), (8, 12, 3, 3)),
        *((0, 12, 3), (8, -12, 3), (8.0, 12, 3), (8, NAN, 3), (8, 12, 0)),
        *((8, 12, "x"), (True, 12, 3), (8, 12, LARGE), (8, 12, None)),
    ),
    "stages": (
        *(None, "x", 5, 1.5, NAN, True, (), {}, (0, 1), (1, -1), (1.5, 1)),
        *((NAN, 1), ("x", 1), (True, 1), (LARGE, 1), (1, 1, 1), (1,)),
    ),
    "pair": (None, "x", 5, NAN, True, (), (1,), (1, 2, 3), ("x", "y")),
    "numbers": (
        *("x", 5, NAN, True, {}, ("x", "y"), (NAN, 1.0)),
        *((INF, 1.0), (None, 1.0), (1j, 1.0)),
    ),
}


def wrong_values(kind, right):
    """Returns what an argument must refuse.

    Args:
        kind: str. One of `WRONG`; an interval such as `"[0, 1)"`; or, of
            arrays, `"tensor"`, `"pixels"`, `"floating"`, `"array"`, `"floats"`,
            `"mask"`, `"masks"`, `"labels"`.
            A `"?"` behind it says that `None` is right.
        right: What the argument takes.

    Returns:
        list.
    """
    kind, optional = kind.removesuffix("?"), kind.endswith("?")
    if kind[0] in "[(":
        values = [*_beyond(kind), *NO_NUMBERS]
    elif kind in WRONG:
        values = list(WRONG[kind])
    else:
        values = _wrong_arrays(kind, np.asarray(right))
    if kind == "normalization":
        optional = True
    return [x for x in values if not (optional and x is None)]


def right_values(kind, right):
    """Returns the NumPy form of what an argument takes."""
    kind = kind.removesuffix("?")
    if right is None:
        return []
    if kind in ("count", "natural"):
        return [np.int64(right), np.int32(right)]
    if kind == "flag":
        return [np.bool_(right)]
    if kind[0] in "[(" and isinstance(right, (int, float)):
        return [np.float32(right), np.float64(right)]
    if kind in ("sizes", "image_shape", "stages"):
        return [list(right), tuple(np.asarray(right))]
    return []


def _beyond(interval):
    low, high = map(float, interval[1:-1].split(", "))
    beyond = []
    if low > -INF:
        beyond += [low - 0.5] + [low] * (interval[0] == "(")
    if high < INF:
        beyond += [high + 0.5] + [high] * (interval[-1] == ")")
    return beyond


def _wrong_arrays(kind, right):
    junk = ["x", None, 5, 1.5, NAN, True, [], {}]
    if right.dtype == object:  # `None`: an entry has those of its own.
        return [x for x in junk if x is not None]
    ranks = [right[0], right[None]]
    others = [np.full(right.shape, "x")]
    if kind == "pixels":  # Of any rank.
        return [*junk, *others, right[..., :2]]
    if kind == "floating":
        return [*junk, *others]
    if kind == "tensor":  # Keras looks at what a layer is called with.
        return [*ranks, right[0, 0] if right.ndim > 1 else right[None, None]]
    if kind in ("mask", "masks"):
        others += [right.astype("float32"), right.astype("int32")]
    if kind == "masks":  # One mask for all images will do.
        ranks = ranks[1:]
    if kind == "labels":
        others += [right + 0.5, -right - 1]
    if kind == "floats":
        others += [right * NAN, right + INF]
    return junk + ranks + others


GRAY = Normalization((0.5,), (0.5,))
