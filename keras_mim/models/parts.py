"""How a masked image model fits its parts together and checks its inputs."""

import keras
import numpy as np

from keras_mim import ops


def fill(part, **values):
    """Gives a part what it leaves open, and checks what it does not."""
    for name, value in values.items():
        given = getattr(part, name)
        if given is None:
            setattr(part, name, value)
        elif given != value:
            raise ValueError(
                f"`{name}` of `{type(part).__name__}` must be that of the "
                f"encoder and target it works with, {value}. "
                f"Received: {name}={given}"
            )


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


def normalised(images):
    """Normalises pixels that come as bytes, on the device that trains.

    As `ImagePipeline` normalises them; images of another dtype are taken as
    they come. Bytes are a quarter of what has to be brought there.
    """
    if keras.backend.standardize_dtype(images.dtype) != "uint8":
        return images
    mean, std = ops.channel_statistics(images.shape[-1])
    pixels = keras.ops.cast(images, "float32")
    return (pixels - 255 * mean) / (255 * std)


def checked_images(images, encoder):
    """Returns images as a NumPy array, normalised if they were bytes."""
    images = keras.ops.convert_to_numpy(images)
    check_images(images, encoder)
    return keras.ops.convert_to_numpy(normalised(images))


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
    if isinstance(masked, np.ndarray):
        _, given = ops.check_mask(masked, len(masked), encoder.num_patches)
        if given != num_masked:
            raise ValueError(
                "`masked` must hide as many patches as the model's masking, "
                f"{num_masked}: training needs one static count. "
                f"Received: {given}"
            )


def build_optimizer(model):
    """Makes the optimizer's variables before TensorFlow traces a step.

    Keras makes them in the first step there, which is then traced again: twice
    the wait. On other backends it does so before.
    """
    # Without `compile` there is none; Keras says so.
    if keras.backend.backend() != "tensorflow" or not model.compiled:
        return
    if not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)


def add_losses(model, loss):
    """Adds what layers want to be minimised, too."""
    replicas = 1
    if keras.backend.backend() == "tensorflow":
        # As Keras's losses are, which TensorFlow adds up over replicas.
        replicas = model.distribute_strategy.num_replicas_in_sync
    for extra in model.losses:
        extra = keras.ops.cast(keras.ops.sum(extra), loss.dtype)
        loss = loss + extra / replicas
    return loss


def for_trainer(model, results):
    """Returns a step's metrics in the shape that Keras's trainer can average.

    It takes the mean over the workers along the first axis, which a number
    has not got: Keras 3.15 under `tf.distribute.MultiWorkerMirroredStrategy`.
    """
    if keras.backend.backend() != "tensorflow":
        return results
    tf = ops.require("tensorflow", "tensorflow")
    kind = tf.distribute.MultiWorkerMirroredStrategy
    if not isinstance(model.distribute_strategy, kind):
        return results
    return keras.tree.map_structure(lambda x: x[None], results)
