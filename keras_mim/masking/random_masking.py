import math

import keras

from keras_mim import ops
from keras_mim.masking.masking import Masking


@keras.saving.register_keras_serializable(package="keras_mim")
class RandomMasking(Masking):
    """Hides patches at random: MAE's masking, or SimMIM's in larger cells.

    References:
    [He et al., 2021](https://arxiv.org/abs/2111.06377), MAE's
    `random_masking`: `int(n * (1 - mask_ratio))` of `n` patches stay visible,
    float error included (100 patches at 0.9 leave 9).
    [Xie et al., 2021](https://arxiv.org/abs/2111.09886), SimMIM's
    `MaskGenerator`: `ceil(n * mask_ratio)` of `n` cells are hidden. Other than
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
        if not 0 < mask_ratio < 1:
            raise ValueError(
                "`mask_ratio` must lie between 0 and 1, both excluded. "
                f"Received: mask_ratio={mask_ratio}"
            )
        if mask_patch_size is not None and mask_patch_size < 1:
            raise ValueError(
                "`mask_patch_size` must be positive (pixels) or None. "
                f"Received: mask_patch_size={mask_patch_size}"
            )
        self.mask_ratio = mask_ratio
        self.mask_patch_size = mask_patch_size

    def num_masked(self, grid):
        """Returns how many patches of a `(height, width)` grid are hidden."""
        cell_grid, scale = self._cells(grid)
        return self._num_masked_cells(cell_grid) * scale**2

    def call(self, images):
        cell_grid, scale = self._cells(self.grid)
        height, width = cell_grid
        # Float32 under mixed precision too: half precision would tie.
        noise = keras.random.uniform(
            (keras.ops.shape(images)[0], height * width),
            dtype="float32",
            seed=self.seed_generator,
        )
        masked = ops.mask_from_noise(noise, self._num_masked_cells(cell_grid))
        if scale == 1:
            return masked
        # Not `repeat`: on torch it fails on shapes, and Keras then runs whole
        # models to find theirs.
        masked = keras.ops.reshape(masked, (-1, height, 1, width, 1))
        masked = keras.ops.tile(masked, (1, 1, scale, 1, scale))
        return keras.ops.reshape(masked, (-1, self.grid[0] * self.grid[1]))

    def _cells(self, grid):
        if self.mask_patch_size is None:
            return grid, 1
        if self.mask_patch_size % self.patch_size:
            raise ValueError(
                "`mask_patch_size` must be a multiple of `patch_size`. "
                f"Received: mask_patch_size={self.mask_patch_size}, "
                f"patch_size={self.patch_size}"
            )
        scale = self.mask_patch_size // self.patch_size
        if grid[0] % scale or grid[1] % scale:
            pixels = tuple(side * self.patch_size for side in grid)
            raise ValueError(
                "The image height and width must be divisible by "
                f"`mask_patch_size`. Received: an image of {pixels} pixels, "
                f"mask_patch_size={self.mask_patch_size}"
            )
        return (grid[0] // scale, grid[1] // scale), scale

    def _num_masked_cells(self, cell_grid):
        num_cells = cell_grid[0] * cell_grid[1]
        if self.mask_patch_size is None:
            num_masked = num_cells - int(num_cells * (1 - self.mask_ratio))
        else:
            num_masked = math.ceil(num_cells * self.mask_ratio)
        if not 0 < num_masked < num_cells:
            raise ValueError(
                "`mask_ratio` must hide at least one patch (or cell) and leave "
                f"at least one visible. Received: mask_ratio={self.mask_ratio},"
                f" which hides {num_masked} of {num_cells}"
            )
        return num_masked

    def get_config(self):
        return {
            **super().get_config(),
            "mask_ratio": self.mask_ratio,
            "mask_patch_size": self.mask_patch_size,
        }
