import keras

from keras_mim import ops
from keras_mim.ops.hog import cell_grid
from keras_mim.ops.hog import check_hog
from keras_mim.ops.hog import hog
from keras_mim.targets.target import Target


@keras.saving.register_keras_serializable(package="keras_mim")
class HOGTarget(Target):
    """The histograms of oriented gradients in each patch: MaskFeat's target.

    They say which way edges run, and neither how bright nor how strong they
    are. A patch of 16 pixels and three channels has 4 cells of 8 pixels, and
    108 values. Compiled without a loss, a model uses mean squared error.

    Reference: [Wei et al., 2021](https://arxiv.org/abs/2112.09133); values and
    their order are those of mmpretrain's `HOGGenerator`, on images as they
    come. SlowFast's `MaskMViT` is trained with `gaussian_window=0`.
    `keras_mim.ops.hog` gives the formula.

    Args:
        num_bins: int. Number of orientations. Defaults to `9`.
        cell_size: int. Side of a cell in pixels; it must divide the patch
            size. Defaults to `8`.
        gaussian_window: int. Side, in pixels, of the windows that weigh
            pixels; it must divide the height and the width of images. `0`
            weighs all alike. Defaults to `16`.
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the target becomes part of a `MaskedImageModel`.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.

    Output shape: Float32 `(batch_size, num_patches, channels * num_bins *
    (patch_size // cell_size) ** 2)`, in the order (channel, bin, row of cells,
    column of cells), the last fastest.

    Example:

    >>> target = keras_mim.targets.HOGTarget(patch_size=16)
    >>> target(np.random.rand(2, 224, 224, 3)).shape
    (2, 196, 108)
    """

    def __init__(
        self,
        num_bins=9,
        cell_size=8,
        gaussian_window=16,
        patch_size=None,
        **kwargs,
    ):
        super().__init__(patch_size=patch_size, **kwargs)
        check_hog(num_bins, cell_size, gaussian_window)
        self.num_bins = num_bins
        self.cell_size = cell_size
        self.gaussian_window = gaussian_window
        self.default_loss = keras.losses.MeanSquaredError()
        if patch_size is not None:
            self._cells_per_side()

    def _cells_per_side(self):
        if self.patch_size % self.cell_size:
            raise ValueError(
                "`cell_size` must divide `patch_size`. Received: "
                f"cell_size={self.cell_size}, patch_size={self.patch_size}"
            )
        return self.patch_size // self.cell_size

    def target_dim(self, channels):
        return channels * self.num_bins * self._cells_per_side() ** 2

    def build(self, images_shape):
        super().build(images_shape)
        image_shape = tuple(images_shape[1:])
        cell_grid(image_shape, self.cell_size, self.gaussian_window)

    def call(self, images):
        cells = hog(images, self.num_bins, self.cell_size, self.gaussian_window)
        height, width = ops.patch_grid(tuple(images.shape[1:]), self.patch_size)
        side, values = self._cells_per_side(), cells.shape[-1]
        cut = (-1, height, side, width, side, values)
        # Cells last, where `patchify` would have them first.
        cells = keras.ops.transpose(
            keras.ops.reshape(cells, cut), (0, 1, 3, 5, 2, 4)
        )
        cells = keras.ops.reshape(cells, (-1, height * width, values * side**2))
        return keras.ops.cast(cells, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "cell_size": self.cell_size,
            "gaussian_window": self.gaussian_window,
        }
