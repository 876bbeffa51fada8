import math
import numbers


def check_count(name, value, least=1):
    """Raises ValueError unless `value` is an int, `least` (0 or 1) or more."""
    if not is_int(value) or value < least:
        kind = "positive" if least else "non-negative"
        raise ValueError(
            f"`{name}` must be a {kind} int. Received: {name}={value!r}"
        )


def check_image_shape(image_shape):
    """Raises ValueError unless it is (height, width, channels)."""
    if not isinstance(image_shape, (tuple, list)) or len(image_shape) != 3:
        raise ValueError(
            "`image_shape` must be (height, width, channels). "
            f"Received: image_shape={image_shape}"
        )
    if not all(is_int(value) and value > 0 for value in image_shape):
        raise ValueError(
            "`image_shape` must hold positive ints. "
            f"Received: image_shape={image_shape}"
        )


def check_seed(seed):
    """Raises ValueError unless the seed is an integer or `None`."""
    if seed is not None and not is_int(seed):
        raise ValueError(
            f"`seed` must be an int or None. Received: seed={seed!r}"
        )


def check_choice(name, value, choices):
    """Raises ValueError unless `value` is one of the choices."""
    if value not in choices:
        listing = " or ".join(f'"{choice}"' for choice in choices)
        raise ValueError(
            f"`{name}` must be {listing}. Received: {name}={value!r}"
        )


def check_shard(shard):
    """Raises ValueError unless it is (index, count)."""
    right = isinstance(shard, (tuple, list)) and len(shard) == 2
    if not right or not all(map(is_int, shard)) or not 0 <= shard[0] < shard[1]:
        raise ValueError(
            "`shard` must be (index, count) with 0 <= index < count. "
            f"Received: shard={shard}"
        )


def check_range(name, value, maximum=math.inf):
    """Raises ValueError unless it is (low, high), positive and ordered."""
    if (
        not isinstance(value, (tuple, list))
        or len(value) != 2
        or not 0 < value[0] <= value[1] <= maximum
    ):
        limit = "" if maximum == math.inf else f" <= {maximum}"
        raise ValueError(
            f"`{name}` must be (low, high) with 0 < low <= high{limit}. "
            f"Received: {name}={value}"
        )


def is_int(value):
    """Whether `value` is an int (NumPy's too) and not a bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_arrays(images, labels, channels):
    """Raises ValueError unless they are a batch of images and its labels."""
    if images.ndim != 4 or not images.size or images.shape[3] != channels:
        raise ValueError(
            "`images` must have the shape (num_images, height, width, "
            f"{channels}), none of them 0. Received: shape {images.shape}"
        )
    if images.dtype != "uint8" and images.dtype.kind != "f":
        raise ValueError(
            "`images` must be uint8 or float, in [0, 255]. "
            f"Received: dtype {images.dtype}"
        )
    if labels is not None and (
        labels.shape != images.shape[:1] or labels.dtype.kind not in "iu"
    ):
        raise ValueError(
            f"`labels` must be {len(images)} integers, one for each image. "
            f"Received: shape {labels.shape}, dtype {labels.dtype}"
        )


def check_encoded_channels(image_shape):
    """Raises ValueError unless image files can decode to `image_shape`."""
    if image_shape[2] not in (1, 3):
        raise ValueError(
            "Image files decode to 1 or 3 channels; `from_arrays()` takes "
            f"other counts. Received: image_shape={image_shape}"
        )
