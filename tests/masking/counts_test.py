"""What every masking promises: one count, known before any mask is drawn."""

import keras
import numpy as np

from keras_mim.masking import BlockMasking
from keras_mim.masking import GridMasking
from keras_mim.masking import RandomMasking
from keras_mim.masking import SquareMasking
from tests.test_case import TestCase

PATCH_SIZE = 2
IMAGES = np.zeros((8, 32, 48, 1), "float32")
# (grid in patches, pixels of a cell). Cells of 2 x 2 patches make the second
# grid again: on JAX, what ran there need not be compiled anew.
GRIDS = (
    ((14, 14), None),
    ((8, 12), None),
    ((16, 24), 4),
)
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Block-wise masks take most of the time.
BLOCK_RATIOS = (0.1, 0.5, 0.75, 0.9)


def all_cases(grids=GRIDS, ratios=RATIOS, block_ratios=BLOCK_RATIOS):
    """Returns `(masking, grid)` of those that fit, and of those that do not."""
    fitting, refused = [], []
    for grid, mask_patch_size in grids:
        shared = {
            "mask_patch_size": mask_patch_size,
            "patch_size": PATCH_SIZE,
            "seed": 0,
        }
        # Two rectangles, most often too few: single patches fill up.
        block = {"num_tries": 2, "min_block": 4, **shared}
        for masking in (
            GridMasking(**shared),
            *(RandomMasking(ratio, **shared) for ratio in ratios),
            *(SquareMasking(ratio, **shared) for ratio in ratios),
            *(BlockMasking(ratio, **block) for ratio in block_ratios),
        ):
            try:
                masking.num_masked(grid)
                fitting.append((masking, grid))
            except ValueError:
                refused.append((masking, grid))
    return fitting, refused


class Masks(keras.Model):
    """Draws one mask per case, from the images cut to the case's grid."""

    def __init__(self, cases):
        super().__init__()
        self.maskings = [masking for masking, _ in cases]
        self.grids = [grid for _, grid in cases]

    def build(self, images_shape):
        """Leaves it to the maskings, which have no weights."""

    def call(self, images):
        masks = []
        for masking, grid in zip(self.maskings, self.grids):
            height, width = (side * PATCH_SIZE for side in grid)
            masks.append(masking(images[:, :height, :width]))
        self.traced_shapes = [tuple(masked.shape) for masked in masks]
        return masks


class CountsTest(TestCase):
    def test_every_image_hides_exactly_the_count(self):
        cases, _ = all_cases()
        self.check_masks(cases, Masks(cases)(IMAGES))

    def test_counts_and_seeds_hold_when_compiled(self):
        # Seconds per masking: without and with cells, one ratio each.
        arguments = GRIDS[1:], (0.5,), (0.75,)
        cases, refused = all_cases(*arguments)
        self.assertEqual(refused, [])
        model = Masks(cases)
        draw = self.compiled(model)
        first = [self.to_numpy(x) for x in draw(IMAGES)]
        self.check_masks(cases, first)
        for (_, (height, width)), shape in zip(cases, model.traced_shapes):
            self.assertEqual(shape[1], height * width)
        second = [self.to_numpy(x) for x in draw(IMAGES)]
        # Others of the same seed stand where these began: no second
        # compilation.
        for (masking, _), (other, _) in zip(cases, all_cases(*arguments)[0]):
            masking.seed_generator.state.assign(other.seed_generator.state)
        again = [self.to_numpy(x) for x in draw(IMAGES)]
        for (masking, _), *masks in zip(cases, first, second, again):
            is_random = not isinstance(masking, GridMasking)
            self.assertEqual((masks[0] != masks[1]).any(), is_random)
            self.assertAllEqual(masks[0], masks[2])

    def test_little_is_refused(self):
        fitting, refused = all_cases()
        self.assertEqual(len(fitting) + len(refused), 3 * 23)
        # Squares of 9 cells in 8 x 12.
        self.assertEqual(
            [(type(x), x.mask_ratio, grid) for x, grid in refused],
            [
                (SquareMasking, 0.8, (8, 12)),
                (SquareMasking, 0.9, (8, 12)),
                (SquareMasking, 0.8, (16, 24)),
                (SquareMasking, 0.9, (16, 24)),
            ],
        )

    def check_masks(self, cases, masks):
        for (masking, grid), masked in zip(cases, masks):
            message = f"{masking.get_config()} on {grid}"
            masked = self.to_numpy(masked)
            count = masking.num_masked(grid)
            self.assertIs(type(count), int, message)
            self.assertEqual(masked.dtype, bool, message)
            self.assertEqual(masked.shape, (8, grid[0] * grid[1]), message)
            self.assertEqual(set(masked.sum(axis=1)), {count}, message)
            is_random = not isinstance(masking, GridMasking)
            differ = len(np.unique(masked, axis=0)) > 1
            self.assertEqual(differ, is_random, message)

    def compiled(self, model):
        backend = keras.backend.backend()
        if backend == "tensorflow":
            import tensorflow as tf

            # For an unknown number of images.
            images = tf.TensorSpec((None, *IMAGES.shape[1:]), tf.float32)
            return tf.function(
                model, [images], autograph=False, jit_compile=True
            )
        if backend == "jax":
            import jax

            model.build(IMAGES.shape)
            call = jax.jit(model.stateless_call)

            def draw(images):
                variables = model.non_trainable_variables
                masks, values = call([], [x.value for x in variables], images)
                for variable, value in zip(variables, values):
                    variable.assign(value)
                return masks

            return draw
        return model
