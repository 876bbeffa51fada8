import math

import keras

from keras_mim import ops
from keras_mim._checks import check_numbers
from keras_mim.masking._cells import cell_grid
from keras_mim.masking._cells import check_cell
from keras_mim.masking._cells import check_count
from keras_mim.masking._cells import spread_cells
from keras_mim.masking.masking import Masking
from keras_mim.random import uniform


@keras.saving.register_keras_serializable(package="keras_mim")
class RandomMasking(Masking):
    """Hides patches at random: MAE's masking, or SimMIM's in larger cells.

    References:
    [He et al., 2021](https://arxiv.org/abs/2111.06377), MAE's
    `random_masking`: `int(n * (1 - mask_ratio))` of `n` patches stay visible,
    float error included (100 patches at 0.9 leave 9).
    [Xie et al., 2021](https://arxiv.org/abs/2111.09886), SimMIM's
    `MaskGenerator`: `ceil(n * mask_ratio)` of `n` cells are hidden: 0.6 of the
    4 cells of 32 pixels in a 64-pixel image hides 3, which is 75 %. Other than
    there, images need not be square.

    Args:
        mask_ratio: float. Share of hidden patches or cells, in (0, 1).
        mask_patch_size: int or `None`. Side of a cell in pixels, a multiple
            of the patch size; SimMIM takes 32. `None` hides single patches by
            MAE's rule.
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the masking becomes part of a `MaskedImageModel`.
        seed: int or `None`. Seed of the masking's own random stream: the same
            seed gives the same masks run after run (on one backend).

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Boolean `(batch_size, num_patches)`, `True` = hidden, the
    same count in every image.

    Example:

    >>> masking = keras_mim.masking.RandomMasking(0.75, patch_size=16, seed=0)
    >>> masking(np.zeros((2, 224, 224, 3))).shape
    (2, 196)
    """

    def __init__(
        self,
        mask_ratio,
        mask_patch_size=None,
        patch_size=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(patch_size=patch_size, seed=seed, **kwargs)
        check_numbers("(0, 1)", mask_ratio=mask_ratio)
        check_cell(mask_patch_size, patch_size)
        self.mask_ratio = mask_ratio
        self.mask_patch_size = mask_patch_size

    def num_masked(self, grid):
        """Returns how many patches of a `(height, width)` grid are hidden."""
        cells, scale = cell_grid(grid, self.patch_size, self.mask_patch_size)
        return self._num_masked_cells(cells) * scale**2

    def call(self, images):
        cells, scale = cell_grid(
            self.grid, self.patch_size, self.mask_patch_size
        )
        noise = uniform(
            (keras.ops.shape(images)[0], cells[0] * cells[1]),
            self.seed_generator,
        )
        masked = ops.mask_from_noise(noise, self._num_masked_cells(cells))
        return spread_cells(masked, cells, scale)

    def _num_masked_cells(self, cells):
        num_cells = cells[0] * cells[1]
        if self.mask_patch_size is None:
            num_masked = num_cells - int(num_cells * (1 - self.mask_ratio))
        else:
            num_masked = math.ceil(num_cells * self.mask_ratio)
        return check_count(num_masked, num_cells, self.mask_ratio)

    def get_config(self):
        return {
            **super().get_config(),
            "mask_ratio": self.mask_ratio,
            "mask_patch_size": self.mask_patch_size,
        }
