"""Checks of arguments that several floors have in common."""

import math
import numbers
import os
from collections.abc import Iterable

import keras
import numpy as np


def is_int(value):
    """Whether `value` is an int (NumPy's too) and not a bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value):
    """Whether `value` is a finite int or float (NumPy's too)."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(value)


def check(right, name, value, expected):
    """Raises a `ValueError` unless an argument is right.

    Args:
        right: bool. Whether it is.
        name: str. Name of the argument.
        value: object. Its value.
        expected: str. What the argument must be.
    """
    if not right:
        raise ValueError(
            f"`{name}` must be {expected}. Received: {name}={value!r}"
        )


def check_counts(least=1, or_none=False, **counts):
    """Raises a `ValueError` unless every value is an int, `least` or more.

    Args:
        least: int. Smallest value that is allowed. Defaults to `1`.
        or_none: bool. Whether `None` is allowed too. Defaults to `False`.
        **counts: The values, by the name of the argument.
    """
    kinds = {0: "a non-negative int", 1: "a positive int"}
    kind = kinds.get(least, f"an int >= {least}") + " or None" * or_none
    for name, value in counts.items():
        if or_none and value is None:
            continue
        check(is_int(value) and value >= least, name, value, kind)
        # What backends keep sizes in; a loop of so many would not end.
        check(value < 2**31, name, value, "below 2 ** 31")


def check_numbers(interval, or_none=False, **values):
    """Raises a `ValueError` unless every value is a finite number in a range.

    Args:
        interval: str. The range, such as `"[0, 1)"` or `"(0, inf)"`.
        or_none: bool. Whether `None` is allowed too. Defaults to `False`.
        **values: The values, by the name of the argument.
    """
    low, high = map(float, interval[1:-1].split(", "))
    expected = f"a number in {interval}" + " or None" * or_none
    for name, value in values.items():
        if or_none and value is None:
            continue
        right = is_number(value) and low <= value <= high
        right = right and (value != low or interval[0] == "[")
        right = right and (value != high or interval[-1] == "]")
        check(right, name, value, expected)


def check_flags(or_none=False, **flags):
    """Raises a `ValueError` unless every value is a bool (NumPy's too).

    Args:
        or_none: bool. Whether `None` is allowed too. Defaults to `False`.
        **flags: The values, by the name of the argument.
    """
    for name, value in flags.items():
        right = isinstance(value, (bool, np.bool_)) or (
            or_none and value is None
        )
        check(right, name, value, "True or False" + " or None" * or_none)


def check_choice(name, value, choices):
    """Raises a `ValueError` unless a value is one of the choices.

    Args:
        name: str. Name of the argument.
        value: Its value.
        choices: iterable of str or `None`.
    """
    right = isinstance(value, (str, type(None))) and value in choices
    check(right, name, value, " or ".join(map(repr, choices)))


def check_kind(kind, or_none=False, **values):
    """Raises a `ValueError` unless every value is of a class.

    Args:
        kind: type. The class.
        or_none: bool. Whether `None` is allowed too. Defaults to `False`.
        **values: The values, by the name of the argument.
    """
    package, *_ = kind.__module__.split(".")
    if package == "keras_mim" and kind.__module__.count(".") > 1:
        package = kind.__module__.rpartition(".")[0]
    expected = f"a `{package}.{kind.__name__}`" + " or None" * or_none
    for name, value in values.items():
        right = isinstance(value, kind) or (or_none and value is None)
        check(right, name, value, expected)


def check_seed(seed):
    """Raises a `ValueError` unless Keras takes a seed: an int or `None`."""
    right = seed is None or (is_int(seed) and 0 <= seed < 2**32)
    check(right, "seed", seed, "an int in [0, 2 ** 32) or None")


def check_path(or_none=False, **paths):
    """Raises a `ValueError` unless every value is a string or a path.

    Args:
        or_none: bool. Whether `None` is allowed too. Defaults to `False`.
        **paths: The values, by the name of the argument.
    """
    for name, value in paths.items():
        right = isinstance(value, (str, os.PathLike)) and str(value) != ""
        right = right or (or_none and value is None)
        check(right, name, value, "a string or a path" + " or None" * or_none)


def check_sizes(name, value, axes, or_none=False):
    """Returns sizes as a tuple of int, or raises a `ValueError`.

    Args:
        name: str. Name of the argument.
        value: tuple or list of int. One size, positive, for each axis.
        axes: str. What the sizes are, such as `"(height, width)"`.
        or_none: bool. Whether `None` is allowed too. Defaults to `False`.

    Returns:
        tuple of int, or `None`.
    """
    if or_none and value is None:
        return None
    right = isinstance(value, (tuple, list))
    right = right and len(value) == axes.count(",") + 1
    right = right and all(is_int(x) and 0 < x < 2**31 for x in value)
    expected = f"{axes}, positive integers" + " or None" * or_none
    check(right, name, value, expected)
    return tuple(int(x) for x in value)


def check_image_shape(image_shape, or_none=False):
    """Returns the shape of an image as a tuple, or raises a `ValueError`.

    Args:
        image_shape: tuple or list of int. `(height, width, channels)`.
        or_none: bool. Whether `None` is allowed too. Defaults to `False`.
    """
    axes = "(height, width, channels)"
    return check_sizes("image_shape", image_shape, axes, or_none)


def check_grid(grid, name="grid", or_none=False):
    """Returns `(height, width)` as a tuple, or raises a `ValueError`.

    Args:
        grid: tuple or list of int. `(height, width)`.
        name: str. Name of the argument. Defaults to `"grid"`.
        or_none: bool. Whether `None` is allowed too. Defaults to `False`.
    """
    return check_sizes(name, grid, "(height, width)", or_none)


def get_initializer(name, value, or_none=False):
    """Returns a Keras initializer, or raises a `ValueError`.

    Args:
        name: str. Name of the argument.
        value: What `keras.initializers.get` takes.
        or_none: bool. Whether `None` is allowed too. Defaults to `False`.
    """
    expected = "a Keras initializer or its name" + " or None" * or_none
    check(or_none or value is not None, name, value, expected)
    try:
        return keras.initializers.get(value)
    except Exception as error:
        raise ValueError(
            f"`{name}` must be {expected}. Received: {name}={value!r}"
        ) from error


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
    check_choice("size", size, sizes)
    return dict(sizes[size])


def check_prefix(num_prefix_tokens):
    """Raises a `ValueError` unless there is one class token or none."""
    right = is_int(num_prefix_tokens) and num_prefix_tokens in (0, 1)
    check(right, "num_prefix_tokens", num_prefix_tokens, "0 or 1")
