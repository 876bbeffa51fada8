import keras


class EncoderHead(keras.Model):
    """What classifiers of pooled tokens share: their configuration.

    A subclass has the arguments `encoder`, `num_classes` and `pooling`, and
    attributes of the same names.
    """

    def get_config(self):
        return {
            "name": self.name,
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
        return cls(**config)
