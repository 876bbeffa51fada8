import keras
from keras import ops

from keras_mim.transfer._encoder_head import EncoderHead
from keras_mim.transfer._pooling import pool_tokens


@keras.saving.register_keras_serializable(package="keras_mim")
class Features(EncoderHead):
    """The features of images: an encoder and pooling, float32.

    Args:
        encoder: `keras_mim.encoders.Encoder`. It is not copied.
        pooling: str. `"cls"` or `"mean"`.
    """

    def __init__(self, encoder, pooling, name="features", **kwargs):
        images = keras.Input(encoder.image_shape, name="images")
        features = pool_tokens(encoder(images), encoder, pooling)
        features = ops.cast(features, "float32")
        super().__init__(images, features, name=name, **kwargs)
        self.encoder = encoder
        self.pooling = pooling

    def check_labels(self, data, labels):
        """Features have no classes."""

    def get_config(self):
        return {
            **super(EncoderHead, self).get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "pooling": self.pooling,
        }


@keras.saving.register_keras_serializable(package="keras_mim")
class FoldedProbe(EncoderHead):
    """A linear layer on the features of images; see `LinearProbe.folded`.

    Args:
        encoder: `keras_mim.encoders.Encoder`. It is not copied.
        num_classes: int. Number of classes.
        pooling: str. `"cls"` or `"mean"`.
        class_names: list of str or `None`. Defaults to `None`.
    """

    def __init__(
        self,
        encoder,
        num_classes,
        pooling,
        class_names=None,
        name="classifier",
        **kwargs,
    ):
        features = Features(encoder, pooling)
        head = keras.layers.Dense(
            int(num_classes), dtype="float32", name="head"
        )
        images = keras.Input(encoder.image_shape, name="images")
        super().__init__(images, head(features(images)), name=name, **kwargs)
        self.encoder = encoder
        self.num_classes = num_classes
        self.pooling = pooling
        self.class_names = class_names
        self.head = head
