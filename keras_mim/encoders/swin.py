import keras

from keras_mim import layers
from keras_mim.encoders._window_encoder import WindowEncoder


@keras.saving.register_keras_serializable(package="keras_mim")
class Swin(WindowEncoder):
    """Swin transformer: images to tokens, coarser and wider stage by stage.

    An `Encoder` whose `patch_embedding` ends in a layer norm, whose
    `position_embedding` is the identity, since positions come as biases inside
    the windows, and whose `trunk` is all blocks and a layer norm. The mask is
    over the `num_patches` patches of `grid`; the output tokens form the
    coarser `output_grid`, each for a cell of `stride` pixels.

    Reference: [Liu et al., 2021](https://arxiv.org/abs/2103.14030), initialised
    as in its code, patch kernel and bias by PyTorch's default for convolutions.
    Any image works whose sides are divisible by `patch_size`; see
    `WindowAttention` and `PatchMerging` for those that windows or merging do
    not divide.

    Args:
        image_shape: tuple of int. `(height, width, channels)`: any channels,
            height and width divisible by `patch_size`.
        patch_size: int. Side of a patch in pixels. Defaults to `4`.
        hidden_dim: int. Width of a token in the first stage (`embed_dim`
            elsewhere); every further stage doubles it. Defaults to `96`.
        depths: tuple of int. Number of blocks per stage.
            Defaults to `(2, 2, 6, 2)`.
        num_heads: tuple of int. Number of attention heads per stage.
            Defaults to `(3, 6, 12, 24)`.
        window_size: int. Side of a window in tokens. Defaults to `7`.
        mlp_ratio: float. Hidden width of the perceptrons over that of the
            token. Defaults to `4`.
        drop_path_rate: float. Rate of stochastic depth in the last block; it
            rises linearly from 0 in the first. Defaults to `0.0`.
        remat: bool. Whether training computes the inner values of each block
            once more for the gradient instead of keeping them: less memory,
            more time, the same result. Defaults to `False`.
        normalization: `keras_mim.Normalization` or `None`. See `Encoder`.
            Defaults to `None`.

    Input shape: `(batch_size, height, width, channels)`: normalized pixels, or
    bytes (uint8).

    Output shape: `(batch_size, output_height * output_width, output_dim)`, row
    by row.

    Example:

    >>> encoder = keras_mim.encoders.Swin.from_size("tiny", (224, 224, 3))
    >>> encoder(np.zeros((1, 224, 224, 3))).shape
    (1, 49, 768)
    """

    block_class = layers.SwinBlock

    def position_layers(self):
        return [block.attention for block in self.blocks]

    def undecayed_weights(self):
        return [block.attention.table for block in self.blocks]
