import math

from keras_mim._array_checks import check_labels
from keras_mim._checks import check
from keras_mim._checks import check_flags
from keras_mim._checks import is_int
from keras_mim._checks import is_number


def check_seed(seed):
    """Raises ValueError unless the seed is an integer or `None`."""
    # TensorFlow keeps it in 64 bits.
    right = seed is None or (is_int(seed) and abs(seed) < 2**63)
    check(right, "seed", seed, "an int (of 64 bits) or None")


def check_range(name, value, most=math.inf):
    """Raises ValueError unless `value` is (low, high), positive, ordered."""
    right = (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(map(is_number, value))
        and 0 < value[0] <= value[1] <= most
    )
    limit = "" if most == math.inf else f" <= {most}"
    check(right, name, value, f"(low, high) with 0 < low <= high{limit}")


def check_encoded(image_shape, labels):
    """Raises ValueError unless image files can be read, with labels or not."""
    check_flags(labels=labels)
    if image_shape[2] not in (1, 3):
        raise ValueError(
            "Image files decode to 1 or 3 channels; `from_arrays()` takes "
            f"other counts. Received: image_shape={image_shape}"
        )


def check_arrays(images, labels, channels):
    """Raises ValueError unless they are a batch of images and its labels."""
    if images.ndim != 4 or not images.size or images.shape[3] != channels:
        raise ValueError(
            "`images` must have the shape (num_images, height, width, "
            f"{channels}), none of them 0. Received: shape {images.shape}"
        )
    if labels is not None and (
        labels.shape != images.shape[:1] or labels.dtype.kind not in "iu"
    ):
        raise ValueError(
            f"`labels` must be {len(images)} integers, one for each image. "
            f"Received: shape {labels.shape}, dtype {labels.dtype}"
        )
    if labels is not None:
        check_labels(labels)


def check_normalized(images, channels=None):
    """Raises ValueError unless a batch is of floats and of RGB, if asked for.

    Args:
        images: `tf.Tensor` or `tf.TensorSpec`.
        channels: int. Number of channels, or `None` for any.
    """
    dtype, shape = getattr(images, "dtype", None), getattr(images, "shape", ())
    right = getattr(dtype, "is_floating", False) and shape.rank == 4
    if not right or channels not in (None, shape[-1]):
        received = f"{getattr(dtype, 'name', dtype)} of shape {shape}"
        raise ValueError(
            "`images` must be batches of a pipeline that normalizes "
            f'(dtype="float32"), of {channels or "any number of"} channels. '
            f"Received: {images if dtype is None else received}"
        )
