from keras_mim.normalization import Normalization
from keras_mim.transfer._encoder_head import encoders_in


def find_normalization(model, given=None):
    """Returns how the images of a model are normalized.

    Args:
        model: `keras.Model` of images; with an encoder in it or without.
        given: `Normalization` or `None`. What the caller says.

    Returns:
        `Normalization`: the encoder's, or for a model without one what is
        given, or the default for its channels.
    """
    found = {layer.normalization for layer in encoders_in(model)}
    if given is not None:
        given = Normalization.resolve(given, model.input_shape[-1])
        found.add(given)
    if len(found) > 1:
        raise ValueError(
            "`normalization` must be that of the encoder in the model. "
            f"Received: {sorted(map(str, found))}"
        )
    if found:
        return found.pop()
    return Normalization.for_channels(model.input_shape[-1])
