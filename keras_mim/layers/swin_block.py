import keras

from keras_mim.layers._window_block import WindowBlock
from keras_mim.layers.window_attention import WindowAttention


@keras.saving.register_keras_serializable(package="keras_mim")
class SwinBlock(WindowBlock):
    """Pre-norm transformer block with attention inside windows.

        tokens += drop_path(window_attention(norm(tokens)))
        tokens += drop_path(mlp(norm(tokens)))

    Reference: [Liu et al., 2021](https://arxiv.org/abs/2103.14030), Swin's
    `SwinTransformerBlock`: GELU in its exact form, layer norm with epsilon
    1e-5, kernels normal with standard deviation 0.02, zero biases.

    Args:
        grid: tuple of int. `(height, width)` in tokens.
        num_heads: int. Number of attention heads.
        window_size: int. Side of a window in tokens; see `WindowAttention`
            for windows that do not fit the grid.
        mlp_dim: int. Width of the perceptron's hidden layer.
        shift_size: int. Tokens that the windows are shifted by. Swin takes
            `window_size // 2` in every second block. Defaults to `0`.
        drop_path_rate: float. Probability of dropping each branch, per image.
            Defaults to `0.0`.
        remat: bool. Whether training computes the branches once more for the
            gradient instead of keeping their inner values: less memory, more
            time, the same result. Defaults to `False`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, grid_height * grid_width,
            hidden_dim)`, row by row.

    Output shape: Same as `tokens`.
    """

    attention_class = WindowAttention
