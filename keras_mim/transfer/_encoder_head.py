import keras

from keras_mim.encoders import Encoder
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
            **super().get_config(),
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
        return super().from_config(config)


def encoder_in(model):
    """Returns the one encoder of a model, or raises a `ValueError`."""
    found = encoders_in(model) if isinstance(model, keras.Model) else []
    if len(found) != 1:
        raise ValueError(
            "`model` must be a `keras_mim.transfer.Classifier`, or a model of "
            "your own with one encoder in it as a layer: begin it with "
            "`encoder(keras.Input(encoder.image_shape))`, not with "
            f"`encoder.output`. Received: model={model!r} with {len(found)} "
            "encoders"
        )
    return found[0]


def encoders_in(model):
    """Returns the encoders that a model is made of, itself included."""
    if isinstance(model, Encoder):
        return [model]
    nested = [x for x in model.layers if isinstance(x, keras.Model)]
    found = [encoder for inner in nested for encoder in encoders_in(inner)]
    return list({id(encoder): encoder for encoder in found}.values())
