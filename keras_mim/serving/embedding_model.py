import keras
from keras import ops

from keras_mim.transfer.pooling import check_pooling
from keras_mim.transfer.pooling import pooled


def embedding_model(encoder, pooling):
    """Returns the model of an encoder that is served.

    From normalised pixels to a dict of `embedding` and `tokens`, float32; the
    arguments are those of `export_encoder`.
    """
    check_pooling(encoder, pooling)
    images = keras.Input(encoder.image_shape, name="images")
    tokens = ops.cast(encoder(images), "float32")
    embedding = pooled(tokens, encoder, pooling)
    return keras.Model(images, {"embedding": embedding, "tokens": tokens})
