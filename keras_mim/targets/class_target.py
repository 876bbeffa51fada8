import abc

import keras

from keras_mim import ops
from keras_mim._checks import check_counts
from keras_mim.targets.target import Target


class ClassTarget(Target, abc.ABC):
    """Asks which class each value of a patch belongs to: a base of targets.

    The model predicts a logit for every class of every value; compiled without
    a loss, it uses cross-entropy. To write one of your own, implement
    `values_per_patch` and `call`, and `to_images` if classes can be shown.

    Args:
        num_classes: int. Number of classes of a value.
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the target becomes part of a `MaskedImageModel`.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Int32 `(batch_size, num_patches, values_per_patch)`.
    """

    def __init__(self, num_classes, patch_size=None, **kwargs):
        super().__init__(patch_size=patch_size, **kwargs)
        check_counts(least=2, num_classes=num_classes)
        self.num_classes = num_classes
        self.default_loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True
        )

    @abc.abstractmethod
    def values_per_patch(self, channels):
        """Returns how many values of a patch get a class, an int."""

    def target_dim(self, channels):
        return self.values_per_patch(channels) * self.num_classes

    def logits(self, prediction):
        """Returns predictions with the classes as their last axis.

        Args:
            prediction: Tensor of shape `(batch_size, num_patches,
                target_dim)`.

        Returns:
            Tensor of shape `(batch_size, num_patches, values_per_patch,
            num_classes)`.
        """
        num_patches, target_dim = prediction.shape[1:]
        num_values = target_dim // self.num_classes
        return keras.ops.reshape(
            prediction, (-1, num_patches, num_values, self.num_classes)
        )

    def for_loss(self, prediction, weight):
        return self.logits(prediction), keras.ops.expand_dims(weight, -1)

    def compute_output_shape(self, images_shape):
        height, width = ops.patch_grid(tuple(images_shape[1:]), self.patch_size)
        num_values = self.values_per_patch(images_shape[-1])
        return images_shape[0], height * width, num_values

    def compute_output_spec(self, images):
        shape = self.compute_output_shape(images.shape)
        return keras.KerasTensor(shape, dtype="int32")
