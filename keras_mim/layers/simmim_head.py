import keras

from keras_mim._checks import check_counts
from keras_mim.layers.grid_head import GridHead


@keras.saving.register_keras_serializable(package="keras_mim")
class SimMIMHead(GridHead):
    """SimMIM's head: one linear layer from a token to the pixels it stands for.

    The tokens of a plain encoder stand for one patch each. Those of a
    hierarchical one, such as Swin, stand for a square of patches: the head
    predicts all of them, and puts them in the order of the patches.

    For targets that are coarser than a patch, patches can share a prediction.
    The paper's resolutions of 6, 12 and 24 for Swin's 48 x 48 patches of 4
    pixels take a `prediction_side` of 8, 4 and 2.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), whose
    `decoder` is a 1x1 convolution and a pixel shuffle. Here the outputs are
    ordered by patch, and in a patch as `patchify` does (row, column, channel),
    there by (channel, row, column): the same map with its outputs permuted.
    Kernel and bias have PyTorch's convolution default, uniform within `1 /
    sqrt(fan_in)`.

    Args:
        prediction_side: int. Side, in patches, of the squares that share one
            prediction, which is repeated for each of their patches. It must
            divide the side of what a token stands for. Defaults to `1`.
        target_dim: int or `None`. Width of the prediction per patch; `None`
            takes the model's target's, and so on for the next two.
        grid: tuple of int or `None`. `(height, width)` in patches.
        num_prefix_tokens: int or `None`. Number of tokens in front, which
            predict nothing.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_prefix_tokens + num_tokens,
            hidden_dim)`; `num_patches` must be a square multiple of
            `num_tokens`.
        masked: Boolean tensor of shape `(batch_size, num_patches)`.

    Output shape: `(batch_size, num_patches, target_dim)`.
    """

    def __init__(
        self,
        prediction_side=1,
        target_dim=None,
        grid=None,
        num_prefix_tokens=None,
        **kwargs,
    ):
        super().__init__(target_dim, grid, num_prefix_tokens, **kwargs)
        check_counts(prediction_side=prediction_side)
        self.prediction_side = prediction_side

    def build(self, tokens_shape, masked_shape):
        super().build(tokens_shape, masked_shape)
        if self.patches_per_side % self.prediction_side:
            raise ValueError(
                "`prediction_side` must divide the side of the square of "
                f"patches that a token stands for, {self.patches_per_side}. "
                f"Received: prediction_side={self.prediction_side}"
            )
        side = self.patches_per_side // self.prediction_side
        self.prediction = self.linear(
            tokens_shape[-1], self.target_dim * side**2, "prediction"
        )

    def call(self, tokens, masked):
        x = tokens[:, self.num_prefix_tokens :]
        return self.to_patches(self.prediction(x), self.prediction_side)

    def get_config(self):
        return {
            **super().get_config(),
            "prediction_side": self.prediction_side,
        }
