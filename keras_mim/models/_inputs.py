"""What a masked image model is given: images, bytes, masks of the caller's."""

import keras
import numpy as np

from keras_mim import ops


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
    check_images(images, encoder)
    if masked is not None:
        dtype = keras.backend.standardize_dtype(masked.dtype)
        expected = (images.shape[0], encoder.num_patches)
        if dtype != "bool" or tuple(masked.shape[1:]) != expected[1:]:
            raise ValueError(
                "`masked` must be boolean of shape (batch_size, num_patches) "
                f"= {expected}. Received: masked of dtype {dtype} and shape "
                f"{tuple(masked.shape)}"
            )
    return images, masked


def check_images(images, encoder):
    """Raises a `ValueError` when images are not what the encoder takes."""
    shape = tuple(images.shape)
    # Of symbolic images, some sizes may be unknown.
    if len(shape) != 4 or any(
        size not in (None, expected)
        for size, expected in zip(shape[1:], encoder.image_shape)
    ):
        raise ValueError(
            "`images` must have shape (batch_size, height, width, channels) "
            f"with the encoder's image_shape={encoder.image_shape}. "
            f"Received: images.shape={shape}"
        )


def check_inputs(inputs, encoder, num_masked=None):
    """Checks inputs before the first step, while they have values.

    Args:
        inputs: What the model is called with, or symbolic tensors.
        encoder: `keras_mim.encoders.Encoder`.
        num_masked: int or `None`. Number of patches that masks must hide;
            `None` does not look.
    """
    images, masked = split_inputs(inputs, encoder)
    encoder.normalization.check_range(images)
    if num_masked is not None and isinstance(masked, np.ndarray):
        _, given = ops.check_mask(masked, len(masked), encoder.num_patches)
        if given != num_masked:
            raise ValueError(
                "`masked` must hide as many patches as the model's masking, "
                f"{num_masked}: training needs one static count. "
                f"Received: {given}"
            )


def as_arrays(images, encoder):
    """Returns images as a NumPy array, normalized if they were bytes."""
    images = keras.ops.convert_to_numpy(images)
    check_images(images, encoder)
    encoder.normalization.check_range(images)
    return encoder.normalization.as_normalized(images)
