import keras
import numpy as np

from keras_mim._checks import check_counts
from keras_mim.masking._cells import cell_grid
from keras_mim.masking._cells import check_cell
from keras_mim.masking._cells import spread_cells
from keras_mim.masking.masking import Masking


@keras.saving.register_keras_serializable(package="keras_mim")
class GridMasking(Masking):
    """Hides all but one patch of every square of patches.

    The easiest of the masks that MAE compares: something visible is never far
    away. The top left patch of every square is kept, so that the mask is
    regular and the same for every image and every call.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), table 1f
    and figure 6, "grid", which keeps one of every four patches.

    Args:
        stride: int. Side of a square in patches or cells, of which one is
            kept, at least 2: 2 hides 75 %, 3 hides 89 %. Defaults to `2`.
        mask_patch_size: int or `None`. Side of a cell in pixels, a multiple
            of the patch size; `None` works on single patches.
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the masking becomes part of a `MaskedImageModel`.
        seed: int or `None`. Changes nothing, as nothing is random here; there
            so that maskings can be exchanged.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Boolean `(batch_size, num_patches)`, `True` = hidden, the
    same in every image.

    Example:

    >>> masking = keras_mim.masking.GridMasking(patch_size=16)
    >>> masking.num_masked((14, 14))
    147
    """

    def __init__(
        self,
        stride=2,
        mask_patch_size=None,
        patch_size=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(patch_size=patch_size, seed=seed, **kwargs)
        check_counts(least=2, stride=stride)
        check_cell(mask_patch_size, patch_size)
        self.stride = stride
        self.mask_patch_size = mask_patch_size

    def num_masked(self, grid):
        """Returns how many patches of a `(height, width)` grid are hidden."""
        (height, width), scale = self._cells(grid)
        num_squares = (height // self.stride) * (width // self.stride)
        return (height * width - num_squares) * scale**2

    def call(self, images):
        cells, scale = self._cells(self.grid)
        masked = np.ones(cells, bool)
        masked[:: self.stride, :: self.stride] = False
        masked = keras.ops.convert_to_tensor(masked.reshape(1, -1))
        masked = spread_cells(masked, cells, scale)
        shape = (keras.ops.shape(images)[0], masked.shape[1])
        return keras.ops.broadcast_to(masked, shape)

    def _cells(self, grid):
        cells, scale = cell_grid(grid, self.patch_size, self.mask_patch_size)
        if cells[0] % self.stride or cells[1] % self.stride:
            raise ValueError(
                "The grid's height and width must be divisible by `stride`. "
                f"Received: stride={self.stride}, a grid of {cells}"
            )
        return cells, scale

    def get_config(self):
        return {
            **super().get_config(),
            "stride": self.stride,
            "mask_patch_size": self.mask_patch_size,
        }
