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
    if shape[1:] != encoder.image_shape:
        raise ValueError(
            "`images` must have shape (batch_size, height, width, channels) "
            f"with the encoder's image_shape={encoder.image_shape}. "
            f"Received: images.shape={shape}"
        )


def check_arrays(inputs, encoder, num_masked):
    """Checks what `fit` gets, as far as it comes in arrays.

    Here, values can still be looked at; and a failure inside the first step
    would cost a model its weights on JAX, which donates them to the step.
    """
    if not isinstance(inputs, dict):
        inputs = {"images": inputs}
    images, masked = inputs.get("images"), inputs.get("masked")
    if keras.ops.is_tensor(images) or isinstance(images, np.ndarray):
        split_inputs(inputs, encoder)
        encoder.check_range(images)
    if isinstance(masked, np.ndarray):
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
    encoder.check_range(images)
    return keras.ops.convert_to_numpy(encoder.as_normalized(images))
