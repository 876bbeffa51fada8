import keras
from keras import ops

from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._compiled_on_torch import CompiledOnTorch
from keras_mim.encoders._first_look import ChecksData
from keras_mim.layers._settings import apply_settings
from keras_mim.layers._settings import settings_of


class PixelModel(ChecksData, CompiledOnTorch, keras.Model):
    """A functional model of images that normalizes those that come as bytes.

    The base of encoders and of the classifiers made from them. A subclass has
    an attribute `normalization`, and adds its arguments to `get_config`, whose
    `layer_settings` say what the layers inside are set to.

    A model of the user's own around it is Keras's, which casts what it gets to
    the dtype of its input: one that begins with `keras.Input(image_shape,
    dtype="uint8")` takes bytes, any other takes normalized pixels.
    """

    def __init__(self, *args, trainable=True, **kwargs):
        super().__init__(*args, **kwargs)
        # Keras would freeze the model alone, and not the layers inside.
        if not trainable:
            self.trainable = False

    def call(self, inputs, training=None, mask=None):
        # Before Keras casts what it gets to the dtype of its input.
        images = self.as_normalized(inputs)
        return super().call(images, training=training, mask=mask)

    def as_normalized(self, images):
        """Returns images as the model takes them.

        Args:
            images: Tensor of shape `(batch_size, height, width, channels)`:
                floats, normalized, or bytes (uint8).

        Returns:
            Float tensor of the same shape.
        """
        check_rank("images", images, IMAGES)
        dtype = keras.backend.standardize_dtype(images.dtype)
        if dtype == "uint8":
            # On the device, where they go as bytes.
            images = ops.convert_to_tensor(images)
        return self.normalization.as_normalized(images)

    def check_inputs(self, inputs):
        self.normalization.check_range(inputs)

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layer_settings": settings_of(self),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        # Older configurations have none.
        settings = config.pop("layer_settings", None)
        model = cls(**config)
        apply_settings(model, settings)
        return model

    def fit(self, x=None, y=None, *args, **kwargs):
        self.check_labels(x, y)
        validation = kwargs.get("validation_data")
        if isinstance(validation, (tuple, list)):
            self.check_labels(*validation[:2])
        else:
            self.check_labels(validation, None)
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        self.check_labels(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def check_labels(self, data, labels):
        """Raises a `ValueError` for wrong labels, in models of classes."""
