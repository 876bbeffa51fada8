import abc
import copy

import keras

from keras_mim import ops
from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim.normalization import Normalization


class Target(keras.layers.Layer, abc.ABC):
    """Decides what is to be predicted: the base of all targets.

    A target computes in float32 whatever the precision of the model, and no
    gradient flows through it. To write one of your own, implement
    `target_dim` and `call`, and `to_images` if its predictions can be shown.
    Targets of classes rather than values subclass `ClassTarget`.

    Args:
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the target becomes part of a `MaskedImageModel`.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`:
            normalized, or bytes (uint8), which are normalized first.

    Output shape: `(batch_size, num_patches, target_dim)`.
    """

    # The loss of a model that was compiled without one; None: the method's.
    default_loss = None
    # How the images were normalized; None: the encoder's, once there is one.
    normalization = None

    def __init__(self, patch_size=None, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        check_counts(or_none=True, patch_size=patch_size)
        self.patch_size = patch_size

    def __call__(self, images, *args, **kwargs):
        check_rank("images", images, IMAGES)
        # Before Keras casts what it gets to float32.
        own = self.own_normalization(images.shape[-1])
        images = own.as_normalized(images)
        return super().__call__(images, *args, **kwargs)

    def own_normalization(self, channels):
        """Returns how images of so many channels are normalized."""
        return Normalization.resolve(self.normalization, channels)

    @abc.abstractmethod
    def target_dim(self, channels):
        """Returns the width of the prediction per patch, an int."""

    def for_loss(self, prediction, weight):
        """Shapes what a stock loss gets besides this layer's output.

        Args:
            prediction: Tensor of shape `(batch_size, num_patches,
                target_dim)`.
            weight: Tensor of shape `(batch_size, num_patches)`.

        Returns:
            A pair: the prediction and the weight, as they are unless a target
            needs other shapes.
        """
        return prediction, weight

    def build(self, images_shape):
        if self.patch_size is None:
            raise ValueError(
                f"`{type(self).__name__}` needs a `patch_size` when it is used "
                "outside of a model. Received: patch_size=None"
            )
        ops.patch_grid(tuple(images_shape[1:]), self.patch_size)

    def attach(self, encoder):
        """Makes what the target needs from the encoder.

        Called once with the encoder, before any weight is built. Does nothing,
        unless a target is made from the encoder.

        Args:
            encoder: The encoder of the model that the target is a part of.
        """

    def to_pixels(self, images):
        """Turns normalized images back into pixels in [0, 1].

        Args:
            images: Tensor of shape `(batch_size, height, width, channels)`.

        Returns:
            Tensor of the same shape.
        """
        check_rank("images", images, IMAGES)
        return self.own_normalization(images.shape[-1]).denormalize(images)

    def compute_output_shape(self, images_shape):
        height, width = ops.patch_grid(tuple(images_shape[1:]), self.patch_size)
        target_dim = self.target_dim(images_shape[-1])
        return images_shape[0], height * width, target_dim

    def to_images(self, prediction, images):
        """Turns predictions into pixels in the value range of `images`.

        Args:
            prediction: Tensor of shape `(batch_size, num_patches,
                target_dim)`.
            images: Tensor of shape `(batch_size, height, width, channels)`
                that the predictions were made for.

        Returns:
            Tensor of the shape of `images`.
        """
        raise ValueError(
            f"Predictions of `{type(self).__name__}` cannot be turned into "
            "images. Expected a target of pixels, such as `PixelTarget`."
        )

    def get_config(self):
        return {**super().get_config(), "patch_size": self.patch_size}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        # What a subclass is made with: a teacher, a normalization.
        for name, value in config.items():
            if name != "dtype" and isinstance(value, dict):
                # A copy: Keras empties the configuration of some models.
                config[name] = keras.saving.deserialize_keras_object(
                    copy.deepcopy(value), custom_objects=custom_objects
                )
        return cls(**config)
