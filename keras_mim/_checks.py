"""Checks of arguments that several floors have in common."""

import math
import numbers
from collections.abc import Iterable

import numpy as np


def is_int(value):
    """Whether `value` is an int (NumPy's too) and not a bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value):
    """Whether `value` is a finite int or float (NumPy's too)."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(value)


def check_counts(least=1, **counts):
    """Raises a `ValueError` unless every value is an int, `least` or more.

    Args:
        least: int. Smallest value that is allowed. Defaults to `1`.
        **counts: The values, by the name of the argument.
    """
    for name, value in counts.items():
        if not is_int(value) or value < least:
            kind = "a positive int" if least == 1 else f"an int >= {least}"
            raise ValueError(
                f"`{name}` must be {kind}. Received: {name}={value!r}"
            )


def check_image_shape(image_shape):
    """Returns the shape of an image as a tuple, or raises a `ValueError`.

    Args:
        image_shape: tuple or list of int. `(height, width, channels)`.
    """
    several = isinstance(image_shape, (tuple, list))
    if (
        not several
        or len(image_shape) != 3
        or not all(is_int(size) and size > 0 for size in image_shape)
    ):
        raise ValueError(
            "`image_shape` must be three positive integers (height, width, "
            f"channels). Received: image_shape={image_shape!r}"
        )
    return tuple(int(size) for size in image_shape)


def static_sizes(shape):
    """Returns the sizes of a tensor as ints, or `None` where one is unknown.

    Torch's exporters put a tensor of their own in the place of each.

    Args:
        shape: sequence of int, `None`, or what torch traces.

    Returns:
        Tuple of int or `None`.
    """
    return tuple(size if size is None else int(size) for size in shape)


def check_rate(name, value):
    """Raises a `ValueError` unless a value is a number in [0, 1)."""
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(
            f"`{name}` must lie in [0, 1). Received: {name}={value!r}"
        )


def check_choice(name, value, choices):
    """Raises a `ValueError` unless a value is one of the choices."""
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {tuple(choices)}. "
            f"Received: {name}={value!r}"
        )


def check_labels(labels, num_classes=None, name="labels"):
    """Raises a `ValueError` unless labels are numbers of classes.

    Args:
        labels: NumPy array of any shape.
        num_classes: int or `None`. Number of classes; `None` is any.
        name: str. What the error calls the labels. Defaults to `"labels"`.
    """
    if labels.dtype.kind not in "iuf":
        raise ValueError(
            f"`{name}` must be whole numbers. "
            f"Received: an array of dtype {labels.dtype}"
        )
    most = 2**31 if num_classes is None else num_classes
    right = (labels >= 0) & (labels < most) & (labels == np.floor(labels))
    if np.all(right):
        return
    expected = "from 0 on"
    if num_classes is not None:
        expected = f"from 0 to {num_classes - 1}, of {num_classes} classes"
    wrong = np.unique(labels[~right])
    listing = ", ".join(map(str, wrong[:10])) + ", ..." * (len(wrong) > 10)
    raise ValueError(
        f"`{name}` must be whole numbers {expected}. Received: {listing} "
        f"({np.count_nonzero(~right)} of {labels.size} labels)"
    )


def check_class_names(class_names, num_classes=None):
    """Returns the names of classes as a list, or raises a `ValueError`.

    Args:
        class_names: sequence of str or `None`.
        num_classes: int or `None`. How many there must be.

    Returns:
        list of str, or `None`.
    """
    if class_names is None:
        return None
    several = isinstance(class_names, Iterable)
    several = several and not isinstance(class_names, str)
    names = list(class_names) if several else []
    right = all(isinstance(name, str) for name in names)
    if not names or not right or len(set(names)) < len(names):
        raise ValueError(
            "`class_names` must be strings, each another. "
            f"Received: class_names={class_names!r}"
        )
    if num_classes not in (None, len(names)):
        raise ValueError(
            f"`class_names` must name each of the {num_classes} classes. "
            f"Received: {len(names)} names"
        )
    return [str(name) for name in names]


def check_heads(hidden_dim, num_heads):
    """Raises a `ValueError` unless the heads share a width among them."""
    check_counts(hidden_dim=hidden_dim, num_heads=num_heads)
    if hidden_dim % num_heads:
        raise ValueError(
            "`hidden_dim` must be divisible by `num_heads`. Received: "
            f"hidden_dim={hidden_dim}, num_heads={num_heads}"
        )


def arguments_of_size(sizes, size):
    """Returns the arguments that a named size stands for.

    Args:
        sizes: dict of str to dict.
        size: str. Name of the size.

    Returns:
        dict: a copy of the arguments.
    """
    if size not in sizes:
        raise ValueError(
            f"`size` must be one of {sorted(sizes)}. Received: size={size!r}"
        )
    return dict(sizes[size])
