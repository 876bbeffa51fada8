import keras
from keras import ops

from keras_mim._compiled_on_torch import CompiledOnTorch
from keras_mim.layers._settings import apply_settings
from keras_mim.layers._settings import settings_of


class PixelModel(CompiledOnTorch, keras.Model):
    """A functional model of images that normalizes those that come as bytes.

    The base of encoders and of the classifiers made from them. A subclass has
    an attribute `normalization`, and adds its arguments to `get_config`, whose
    `layer_settings` say what the layers inside are set to.
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
        dtype = keras.backend.standardize_dtype(images.dtype)
        if dtype == "uint8":
            return self.normalization.normalize(ops.convert_to_tensor(images))
        if "float" not in dtype:
            raise ValueError(
                "Images must be floats, normalized as `normalization` says, or "
                f"uint8. Received: images of dtype {dtype}"
            )
        return images

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

    def fit(self, x=None, *args, **kwargs):
        self.check_range(x)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        self.check_range(x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        self.check_range(x)
        return super().predict(x, *args, **kwargs)

    def check_range(self, images):
        """Warns once of images whose range is not the expected one."""
        self.normalization.check_range(images)
