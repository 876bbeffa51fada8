import keras
from keras import ops

from keras_mim._compiled_on_torch import CompiledOnTorch


class PixelModel(CompiledOnTorch, keras.Model):
    """A functional model of images that normalizes those that come as bytes.

    The base of encoders and of the classifiers made from them. A subclass has
    an attribute `normalization`.
    """

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

    def fit(self, x=None, y=None, *args, **kwargs):
        self.check_range(x)
        self.check_labels(x, y)
        validation = kwargs.get("validation_data")
        if isinstance(validation, (tuple, list)):
            self.check_labels(*validation[:2])
        else:
            self.check_labels(validation, None)
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        self.check_range(x)
        self.check_labels(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        self.check_range(x)
        return super().predict(x, *args, **kwargs)

    def check_labels(self, data, labels):
        """Raises a `ValueError` for wrong labels, in models of classes."""

    def check_range(self, images):
        """Warns once of images whose range is not the expected one."""
        self.normalization.check_range(images)
