import keras
from keras import ops

from keras_mim.transfer._pooling import pool_tokens
from keras_mim.transfer._pooling import resolve_pooling


def embedding_model(encoder, pooling):
    """Returns the model of an encoder that is served.

    From normalized pixels to a dict of `embedding` and `tokens`, float32; the
    arguments are those of `export_encoder`.
    """
    pooling = resolve_pooling(encoder, pooling)
    images = keras.Input(encoder.image_shape, name="images")
    tokens = ops.cast(encoder(images), "float32")
    embedding = pool_tokens(tokens, encoder, pooling)
    return keras.Model(images, {"embedding": embedding, "tokens": tokens})
