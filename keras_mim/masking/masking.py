import abc

import keras

from keras_mim import ops
from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim.random import ReplicaSeeds


class Masking(keras.layers.Layer, abc.ABC):
    """Decides which patches of an image are hidden: the base of all maskings.

    A masking hides the same number of patches in every image, a number that
    follows from the grid alone, so that shapes are static under XLA. To write
    one of your own, implement `num_masked` and `call`, which draws from
    `self.seed_generator`.

    Training and evaluation have a stream each: see `draw`.

    Args:
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the masking becomes part of a `MaskedImageModel`.
        seed: int or `None`. Seed of the masking's own random stream: the same
            seed gives the same masks run after run (on one backend), and
            every replica of a distributed run its own.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Boolean `(batch_size, num_patches)`, `True` = hidden.
    """

    def __init__(self, patch_size=None, seed=None, **kwargs):
        # Only the shape of the images matters: leave their dtype alone.
        super().__init__(autocast=False, **kwargs)
        check_counts(or_none=True, patch_size=patch_size)
        self.patch_size = patch_size
        self.seed = seed
        self.seed_generator = ReplicaSeeds(seed)
        # With a seed, so that none is drawn; it takes the other's.
        self.evaluation_seeds = ReplicaSeeds(0, name="evaluation_seeds")
        self.begin_evaluation()

    @abc.abstractmethod
    def num_masked(self, grid):
        """Returns how many patches of a `(height, width)` grid are hidden."""

    def draw(self, images, training=False):
        """Draws masks, in training and in evaluation from a stream each.

        Args:
            images: Tensor of shape `(batch_size, height, width, channels)`.
            training: bool or `None`. Whether the masks are for training.
                Defaults to `False`.

        Returns:
            Boolean tensor of shape `(batch_size, num_patches)`.
        """
        if training:
            return self(images)
        with self.seed_generator.replaced_by(self.evaluation_seeds):
            return self(images)

    def begin_evaluation(self):
        """Sets evaluation's stream to where it began: the same masks again."""
        self.evaluation_seeds.state.assign(self.seed_generator.start())

    def build(self, images_shape):
        check_rank("images", images_shape, IMAGES)
        if self.patch_size is None:
            raise ValueError(
                f"`{type(self).__name__}` needs a `patch_size` when it is used "
                "outside of a model. Received: patch_size=None"
            )
        self.grid = ops.patch_grid(tuple(images_shape[1:]), self.patch_size)
        self.num_masked(self.grid)  # Raises when the grid does not fit.

    def compute_output_shape(self, images_shape):
        return images_shape[0], self.grid[0] * self.grid[1]

    def compute_output_spec(self, images):
        shape = self.compute_output_shape(images.shape)
        return keras.KerasTensor(shape, dtype="bool")

    def get_config(self):
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "seed": self.seed,
        }
