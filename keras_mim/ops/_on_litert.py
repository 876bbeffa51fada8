"""The forms that LiteRT has operators for, taken while a file is written.

LiteRT has no `roll`, no transpose of more than six axes, and of the error
function only GELU as TensorFlow writes it. What computes the same here takes
longer in training, which goes on as it is: also in another thread, meanwhile.
"""

import contextlib
import contextvars
import math

from keras import ops

_WRITING = contextvars.ContextVar("writing a LiteRT file", default=False)


@contextlib.contextmanager
def writing():
    """In this context, what is traced takes LiteRT's forms."""
    token = _WRITING.set(True)
    try:
        yield
    finally:
        _WRITING.reset(token)


def is_writing():
    """Whether what is traced now goes into a LiteRT file."""
    return _WRITING.get()


def roll(x, shift, axis):
    """Returns `ops.roll(x, shift, axis)`; in LiteRT's form, by slices.

    Args:
        x: Tensor.
        shift, axis: tuples of int, of the same length.
    """
    if not is_writing():
        return ops.roll(x, shift, axis)
    for distance, place in zip(shift, axis, strict=True):
        cut = -distance % x.shape[place]
        first, last = ops.split(x, [cut], axis=place)
        x = ops.concatenate([last, first], axis=place)
    return x


def transpose(x, axes):
    """Returns `ops.transpose(x, axes)`; in LiteRT's form, an axis at a time.

    Args:
        x: Tensor, of which one size at most is unknown.
        axes: tuple of int.
    """
    if not is_writing() or len(axes) <= 6:
        return ops.transpose(x, axes)
    shape, order = list(x.shape), list(range(len(axes)))
    for place, axis in enumerate(axes):
        found = order.index(axis)
        if found == place:
            continue
        # What stands together is one axis: of four, two change places.
        groups = (
            shape[:place],
            shape[place:found],
            shape[found : found + 1],
            shape[found + 1 :],
        )
        x = ops.transpose(ops.reshape(x, _sizes(groups)), (0, 2, 1, 3))
        shape.insert(place, shape.pop(found))
        order.insert(place, order.pop(found))
    return ops.reshape(x, _sizes([size] for size in shape))


def _sizes(groups):
    """Returns the size of each group of axes, -1 for the unknown one."""
    return [-1 if None in group else math.prod(group) for group in groups]
