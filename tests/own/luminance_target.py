import keras

import keras_mim


@keras.saving.register_keras_serializable(package="my_project")
class LuminanceTarget(keras_mim.targets.Target):
    """The brightness of every pixel: the mean of its channels, in [0, 1]."""

    def target_dim(self, channels):
        return self.patch_size**2

    def call(self, images):
        pixels = self.to_pixels(images)
        grey = keras.ops.mean(pixels, axis=-1, keepdims=True)
        return keras_mim.ops.patchify(grey, self.patch_size)
