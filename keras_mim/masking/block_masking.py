import math

import keras

from keras_mim import ops
from keras_mim._checks import check_counts
from keras_mim._checks import check_numbers
from keras_mim.masking._cells import cell_grid
from keras_mim.masking._cells import check_cell
from keras_mim.masking._cells import check_count
from keras_mim.masking._cells import spread_cells
from keras_mim.masking.masking import Masking
from keras_mim.random import uniform


@keras.saving.register_keras_serializable(package="keras_mim")
class BlockMasking(Masking):
    """Hides rectangles: BEiT's block-wise masking, with an exact count.

    Rectangle after rectangle is tried: its area uniform between `min_block`
    and what is still to be hidden, its aspect ratio log-uniform, its place
    uniform. It is taken if it hides something new, and not too much. What is
    missing in the end, usually less than `min_block`, is filled up with single
    patches at random.

    Reference: [Bao et al., 2021](https://arxiv.org/abs/2106.08254), BEiT's
    `MaskingGenerator`. There the count is at most the wanted one and differs
    from image to image; here it is exact, so that shapes are static. BEiT hides
    75 of 14 x 14 patches: `mask_ratio=75 / 196`.

    Args:
        mask_ratio: float. Share of hidden patches or cells, in (0, 1); the
            nearest whole number is hidden.
        min_block: int. Smallest area of a rectangle, in patches or cells.
            Defaults to `16`.
        min_aspect: float. Smallest height over width of a rectangle, in
            (0, 1]; the largest is its inverse. Defaults to `0.3`.
        num_tries: int. Number of rectangles that are tried. Defaults to `30`.
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
        min_block=16,
        min_aspect=0.3,
        num_tries=30,
        mask_patch_size=None,
        patch_size=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(patch_size=patch_size, seed=seed, **kwargs)
        check_numbers("(0, 1)", mask_ratio=mask_ratio)
        check_cell(mask_patch_size, patch_size)
        check_counts(min_block=min_block, num_tries=num_tries)
        check_numbers("(0, 1]", min_aspect=min_aspect)
        self.mask_ratio = mask_ratio
        self.min_block = min_block
        self.min_aspect = min_aspect
        self.num_tries = num_tries
        self.mask_patch_size = mask_patch_size

    def num_masked(self, grid):
        """Returns how many patches of a `(height, width)` grid are hidden."""
        (height, width), scale = self._cells(grid)
        return self._num_masked_cells(height * width) * scale**2

    def call(self, images):
        grid, scale = self._cells(self.grid)
        num_cells = grid[0] * grid[1]
        num_masked = self._num_masked_cells(num_cells)
        batch_size = keras.ops.shape(images)[0]
        noise = uniform(
            (batch_size, num_cells + 4 * self.num_tries),
            self.seed_generator,
        )
        tries = keras.ops.reshape(noise[:, num_cells:], (-1, self.num_tries, 4))
        masked = keras.ops.zeros((batch_size, *grid), dtype="bool")
        for i in range(self.num_tries):
            masked = self._try_block(masked, tries[:, i], num_masked)
        masked = keras.ops.reshape(masked, (-1, num_cells))
        # Hidden ones first, then others at random, up to the count.
        noise = noise[:, :num_cells] + keras.ops.cast(masked, "float32")
        masked = ops.mask_from_noise(noise, num_masked)
        return spread_cells(masked, grid, scale)

    def _try_block(self, masked, uniform, num_masked):
        """Adds one rectangle per image, where it is one to take."""
        _, height, width = masked.shape
        count = keras.ops.sum(keras.ops.cast(masked, "float32"), axis=(1, 2))
        remaining = num_masked - count
        # Below `min_block` in the end, when less than that is missing.
        area = self.min_block + uniform[:, 0] * (remaining - self.min_block)
        aspect = keras.ops.exp(
            (2 * uniform[:, 1] - 1) * math.log(1 / self.min_aspect)
        )
        rows = keras.ops.round(keras.ops.sqrt(area * aspect))
        columns = keras.ops.round(keras.ops.sqrt(area / aspect))
        inside = _interval(height, rows, uniform[:, 2])[:, :, None]
        block = inside & _interval(width, columns, uniform[:, 3])[:, None, :]
        new = block & ~masked
        num_new = keras.ops.sum(keras.ops.cast(new, "float32"), axis=(1, 2))
        taken = (rows < height) & (columns < width)
        taken = taken & (num_new > 0) & (num_new <= remaining)
        return masked | (new & taken[:, None, None])

    def _cells(self, grid):
        return cell_grid(grid, self.patch_size, self.mask_patch_size)

    def _num_masked_cells(self, num_cells):
        num_masked = round(num_cells * self.mask_ratio)
        return check_count(num_masked, num_cells, self.mask_ratio)

    def get_config(self):
        return {
            **super().get_config(),
            "mask_ratio": self.mask_ratio,
            "min_block": self.min_block,
            "min_aspect": self.min_aspect,
            "num_tries": self.num_tries,
            "mask_patch_size": self.mask_patch_size,
        }


def _interval(size, length, uniform):
    """Marks `length` of `size` places from a random start, per image."""
    start = keras.ops.floor(uniform * (size - length + 1))[:, None]
    place = keras.ops.arange(size, dtype="float32")[None, :]
    return (place >= start) & (place < start + length[:, None])
