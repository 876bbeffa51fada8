import math

import keras

from keras_mim._checks import check_numbers
from keras_mim.masking._cells import cell_grid
from keras_mim.masking._cells import check_cell
from keras_mim.masking._cells import check_count
from keras_mim.masking._cells import spread_cells
from keras_mim.masking.masking import Masking
from keras_mim.random import uniform


@keras.saving.register_keras_serializable(package="keras_mim")
class SquareMasking(Masking):
    """Hides one square at a random place of every image.

    The simplest of the masks that SimMIM compares: what is hidden is far from
    everything visible.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), section
    3.2, "square".

    Args:
        mask_ratio: float. Share of hidden patches or cells, in (0, 1); the
            square whose area comes nearest is hidden.
        mask_patch_size: int or `None`. Side of a cell in pixels, a multiple
            of the patch size; `None` works on single patches.
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the masking becomes part of a `MaskedImageModel`.
        seed: int or `None`. Seed of the masking's own random stream.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Boolean `(batch_size, num_patches)`, `True` = hidden, the
    same count in every image.
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
        return (self._side(cells) * scale) ** 2

    def call(self, images):
        cells, scale = cell_grid(
            self.grid, self.patch_size, self.mask_patch_size
        )
        side = self._side(cells)
        noise = uniform(
            (keras.ops.shape(images)[0], 2),
            self.seed_generator,
        )
        inside = []
        for axis, length in enumerate(cells):
            start = keras.ops.floor(noise[:, axis] * (length - side + 1))
            place = keras.ops.arange(length, dtype="float32")
            after = place[None, :] - start[:, None]
            inside.append((after >= 0) & (after < side))
        masked = inside[0][:, :, None] & inside[1][:, None, :]
        masked = keras.ops.reshape(masked, (-1, cells[0] * cells[1]))
        return spread_cells(masked, cells, scale)

    def _side(self, cells):
        num_cells = cells[0] * cells[1]
        exact = math.sqrt(num_cells * self.mask_ratio)
        sides = (math.floor(exact), math.ceil(exact))
        side = min(sides, key=lambda s: abs(s**2 - exact**2))
        if side > min(cells):
            raise ValueError(
                "A square of this `mask_ratio` must fit into the image. "
                f"Received: mask_ratio={self.mask_ratio}, a square of {side} "
                f"in a grid of {cells}"
            )
        check_count(side**2, num_cells, self.mask_ratio)
        return side

    def get_config(self):
        return {
            **super().get_config(),
            "mask_ratio": self.mask_ratio,
            "mask_patch_size": self.mask_patch_size,
        }
