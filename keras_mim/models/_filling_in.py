import numpy as np
from keras import ops

from keras_mim.models._inputs import as_arrays
from keras_mim.ops import check_mask
from keras_mim.ops import mask_to_pixels


def fill_in(model, images, masked, batch_size):
    """Fills hidden patches in: `MaskedImageModel.reconstruct`, which see."""
    images = as_arrays(images, model.encoder)
    if masked is None:
        masked = model.draw_masks(images)
    masked = ops.convert_to_numpy(masked)
    prediction = model.predict_patches(images, masked, batch_size)
    reconstruction = ops.convert_to_numpy(
        model.target.to_images(prediction, images)
    )
    masked, _ = check_mask(masked, len(images), model.encoder.num_patches)
    hidden = mask_to_pixels(masked, model.encoder.image_shape)
    return {
        "original": images,
        "masked_image": np.where(hidden, 0, images),
        "reconstruction": reconstruction,
        "pasted": np.where(hidden, reconstruction, images),
        "masked": masked,
    }
