import keras
import numpy as np

import keras_mim


@keras.saving.register_keras_serializable(package="my_project")
class StripeMasking(keras_mim.masking.Masking):
    """Hides every second row of patches."""

    def num_masked(self, grid):
        height, width = grid
        return height // 2 * width

    def call(self, images):
        height, width = self.grid
        odd = np.arange(height) % 2 == 1
        masked = keras.ops.convert_to_tensor(np.repeat(odd, width)[None])
        shape = (keras.ops.shape(images)[0], height * width)
        return keras.ops.broadcast_to(masked, shape)
