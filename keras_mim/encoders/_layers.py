"""What an encoder is put together from, checked."""

import keras

from keras_mim._checks import check
from keras_mim._checks import check_kind


def check_layers(
    patch_embedding, position_embedding, trunk, norm, blocks, features
):
    """Raises a `ValueError` unless these are what an `Encoder` takes."""
    layer = keras.layers.Layer
    check_kind(layer, patch_embedding=patch_embedding)
    check_kind(layer, True, position_embedding=position_embedding, norm=norm)
    check_kind(keras.Model, trunk=trunk)
    right = isinstance(blocks, (tuple, list))
    right = right and all(isinstance(block, layer) for block in blocks)
    check(right, "blocks", blocks, "a sequence of Keras layers")
    right = isinstance(features, (tuple, list)) and len(features) > 0
    right = right and all(
        isinstance(triple, (tuple, list)) and len(triple) == 3
        for triple in features
    )
    expected = "one or more triples, (tokens, grid, stride)"
    check(right, "features", features, expected)
