import keras

from keras_mim.encoders._pixel_model import PixelModel


class EncoderHead(PixelModel):
    """What models made from an encoder share: bytes, and their configuration.

    A subclass has the arguments `encoder`, `num_classes` and `pooling`, and
    attributes of the same names.
    """

    @property
    def normalization(self):
        return self.encoder.normalization

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "num_classes": self.num_classes,
            "pooling": self.pooling,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        config["encoder"] = keras.saving.deserialize_keras_object(
            config["encoder"], custom_objects=custom_objects
        )
        return super().from_config(config)


def check_classifier(model):
    """Raises a `ValueError` unless a model has an encoder and a head."""
    if not isinstance(model, EncoderHead):
        raise ValueError(
            "`model` must be a `keras_mim.transfer.Classifier`. "
            f"Received: model={model!r}"
        )
