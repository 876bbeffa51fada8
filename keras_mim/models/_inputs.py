"""What a masked image model is given: images, bytes, masks of the caller's."""

import keras
import numpy as np
from keras import ops

from keras_mim._array_checks import check_images
from keras_mim._array_checks import check_rank
from keras_mim._checks import is_int
from keras_mim.ops import check_mask


def split_inputs(inputs, encoder):
    """Returns images and the caller's mask, which is `None` if not given."""
    if not isinstance(inputs, dict):
        inputs = {"images": inputs}
    if not {"images"} <= set(inputs) <= {"images", "masked"}:
        raise ValueError(
            "Inputs must be images, or a dict with the keys 'images' and "
            f"'masked'. Received: a dict with the keys {sorted(inputs)}"
        )
    images, masked = inputs["images"], inputs.get("masked")
    check_images(images, encoder.image_shape)
    if masked is not None:
        check_rank("masked", masked, "(batch_size, num_patches)")
        dtype = keras.backend.standardize_dtype(masked.dtype)
        expected = (images.shape[0], encoder.num_patches)
        if dtype != "bool" or tuple(masked.shape[1:]) != expected[1:]:
            raise ValueError(
                "`masked` must be boolean of shape (batch_size, num_patches) "
                f"= {expected}. Received: masked of dtype {dtype} and shape "
                f"{tuple(masked.shape)}"
            )
    return images, masked


def check_inputs(inputs, encoder, num_masked):
    """Raises a `ValueError` when arrays or tensors are not what a step takes.

    Args:
        inputs: What a model is called with, with values.
        encoder: `keras_mim.encoders.Encoder`.
        num_masked: int. The number of patches that a mask has to hide.
    """
    images, masked = split_inputs(inputs, encoder)
    encoder.normalization.check_range(images)
    if masked is None:
        return
    # By sums, which every process of a distributed run has.
    counts = ops.sum(ops.cast(masked, "int32"), axis=1)
    least, most = (int(number) for number in (ops.min(counts), ops.max(counts)))
    if (least, most) != (num_masked, num_masked):
        found = least if least == most else f"between {least} and {most}"
        raise ValueError(
            "`masked` must hide as many patches of every image as the model's "
            f"masking, {num_masked}: a step needs one static count. "
            f"Received: {found}"
        )


def check_arrays(model, inputs, validation_data):
    """Checks all of what `fit` is given, where it comes in arrays or tensors.

    Of other data, the first batch is looked at once it is there.

    Args:
        model: `MaskedImageModel`.
        inputs: What it is trained on.
        validation_data: What it is evaluated on, with labels or not.
    """
    validation, _, _ = keras.utils.unpack_x_y_sample_weight(validation_data)
    for x in (inputs, validation):
        parts = list(x.values()) if isinstance(x, dict) else [x]
        if parts and all(map(_is_array, parts)):
            model.check_inputs(x)


def _is_array(x):
    return isinstance(x, np.ndarray) or ops.is_tensor(x)


def without_wrong_counts(prediction, masked, num_masked):
    """Returns predictions, NaN for images that hide another number of patches.

    Values cannot raise inside of a compiled step. There, an encoder that drops
    tokens has been given hidden ones, or not all that are visible.

    Args:
        prediction: Tensor of shape `(batch_size, num_patches, target_dim)`.
        masked: Boolean tensor of shape `(batch_size, num_patches)`.
        num_masked: int. The number that the encoder was told.

    Returns:
        Tensor like `prediction`.
    """
    counts = ops.sum(ops.cast(masked, "int32"), axis=1)
    offset = ops.where(counts == num_masked, 0.0, float("nan"))
    return prediction + ops.cast(offset, prediction.dtype)[:, None, None]


def check_masking(model):
    """Raises a `ValueError` unless a masking hides as many as it says.

    Args:
        model: `MaskedImageModel`, whose masking is tried on two images.
    """
    encoder, masking = model.encoder, model.masking
    name = type(masking).__name__
    if not masking.built:
        masking.build((None, *encoder.image_shape))
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, *encoder.image_shape)).astype("float32")
    masked = model.draw_masks(images)
    try:
        _, found = check_mask(masked, 2, encoder.num_patches)
    except ValueError as error:
        raise ValueError(f"`{name}` draws wrong masks: {error}") from error
    if not is_int(model.num_masked) or found != model.num_masked:
        raise ValueError(
            f"`num_masked` of `{name}` must return how many patches its masks "
            f"hide, as an int. Received: {model.num_masked!r}, and masks that "
            f"hide {found}"
        )


def as_arrays(images, encoder):
    """Returns images as a NumPy array, normalized if they were bytes."""
    check_images(images, encoder.image_shape)
    images = ops.convert_to_numpy(images)
    encoder.normalization.check_range(images)
    return encoder.normalization.as_normalized(images)
