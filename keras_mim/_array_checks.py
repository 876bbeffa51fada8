"""Checks of arrays and of their shapes that several floors have in common."""

import keras
import numpy as np

IMAGES = "(batch_size, height, width, channels)"
TOKENS = "(batch_size, num_tokens, hidden_dim)"


def check_rank(name, value, axes):
    """Raises a `ValueError` unless an array has as many axes as it should.

    Args:
        name: str. Name of the argument.
        value: Array or tensor, or the shape of one.
        axes: str. The axes, such as `"(batch_size, num_tokens, hidden_dim)"`;
            any number of them if it begins with `"(..."`.
    """
    shape = getattr(value, "shape", value)
    any_rank = axes.startswith("(...")
    is_shape = shape is not value
    is_shape = is_shape or (isinstance(value, (tuple, list)) and not any_rank)
    # TensorFlow's shapes are of another class, whose rank may be unknown.
    if is_shape and getattr(shape, "rank", 0) is None:
        right = any_rank
    else:
        rank = axes.count(",") + (not axes.endswith(",)"))
        right = is_shape and (any_rank or len(shape) == rank)
    if isinstance(value, np.ndarray):
        right = right and value.dtype.kind in "biufV"
    if not right:
        received = f" of shape {shape}" if is_shape else f"={value!r}"
        received = f"{name}{received}"
        if isinstance(value, np.ndarray):
            received += f", dtype {value.dtype}"
        raise ValueError(
            f"`{name}` must be an array of numbers, of shape {axes}. "
            f"Received: {received}"
        )


def check_masked(masked):
    """Raises a `ValueError` unless a mask is boolean, image by image."""
    check_rank("masked", masked, "(batch_size, num_patches)")
    dtype = keras.backend.standardize_dtype(masked.dtype)
    if dtype != "bool":
        raise ValueError(
            "`masked` must be boolean, True where a patch is hidden. "
            f"Received: masked of dtype {dtype}"
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


def static_sizes(shape):
    """Returns the sizes of a tensor as ints, or `None` where one is unknown.

    Torch's exporters put a tensor of their own in the place of each.

    Args:
        shape: sequence of int, `None`, or what torch traces.

    Returns:
        Tuple of int or `None`.
    """
    return tuple(size if size is None else int(size) for size in shape)


def check_images(images, image_shape):
    """Raises a `ValueError` when images are not what an encoder takes.

    Args:
        images: Array or tensor.
        image_shape: tuple of int. What the encoder takes.
    """
    check_rank("images", images, "(...)")
    shape = tuple(images.shape)
    # Of symbolic images, some sizes may be unknown.
    if len(shape) != 4 or any(
        size not in (None, expected)
        for size, expected in zip(shape[1:], image_shape)
    ):
        raise ValueError(
            "`images` must have shape (batch_size, height, width, channels) "
            f"with the encoder's image_shape={image_shape}. "
            f"Received: images.shape={shape}"
        )


def float_array(name, value, axes):
    """Returns an array of finite float32, or raises a `ValueError`.

    Args:
        name: str. Name of the argument.
        value: Array, or nested sequences of numbers.
        axes: str. Its axes, as in `check_rank`.

    Returns:
        NumPy array.
    """
    try:
        array = np.asarray(value, "float32")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must be an array of numbers, of shape {axes}. "
            f"Received: {name}={value!r}"
        ) from error
    check_rank(name, array, axes)
    if not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be finite. "
            "Received: values that are NaN or infinite"
        )
    return array
