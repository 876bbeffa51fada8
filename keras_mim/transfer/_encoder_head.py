import keras

from keras_mim.encoders._pixel_model import PixelModel
from keras_mim.transfer._feature_checks import check_fitted_labels


class EncoderHead(PixelModel):
    """What models made from an encoder share: bytes, and their configuration.

    A subclass has the arguments `encoder`, `num_classes`, `pooling` and
    `class_names`, and attributes of the same names.
    """

    @property
    def normalization(self):
        return self.encoder.normalization

    def check_labels(self, data, labels):
        """Raises a `ValueError` for labels that are not of these classes.

        Args:
            data: What `fit` or `evaluate` is given as `x`.
            labels: Likewise, as `y`.
        """
        names = getattr(data, "class_names", None)
        if names is not None:
            expected = self.class_names or names
            if list(names) != expected or len(names) != self.num_classes:
                raise ValueError(
                    f"The data must have the model's {self.num_classes} "
                    "classes in their order: pass `class_names` to what reads "
                    f"it. Expected: {self.class_names or 'any names'}. "
                    f"Received: {list(names)}"
                )
        check_fitted_labels(labels, self.num_classes)

    def get_config(self):
        return {
            "name": self.name,
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "num_classes": self.num_classes,
            "pooling": self.pooling,
            "class_names": self.class_names,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        config["encoder"] = keras.saving.deserialize_keras_object(
            config["encoder"], custom_objects=custom_objects
        )
        return cls(**config)


def check_classifier(model):
    """Raises a `ValueError` unless a model has an encoder and a head."""
    if not isinstance(model, EncoderHead):
        raise ValueError(
            "`model` must be a `keras_mim.transfer.Classifier`. "
            f"Received: model={model!r}"
        )
