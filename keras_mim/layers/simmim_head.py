import math

import keras

from keras_mim.layers.head import Head


@keras.saving.register_keras_serializable(package="keras_mim")
class SimMIMHead(Head):
    """SimMIM's head: one linear layer from a token to the pixels it stands for.

    The tokens of a plain encoder stand for one patch each. Those of a
    hierarchical one, such as Swin, stand for a square of patches: the head
    predicts all of them, and puts them in the order of the patches.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), whose
    `decoder` is a 1x1 convolution and a pixel shuffle. Here the outputs are
    ordered by patch, and in a patch as `patchify` does (row, column, channel),
    there by (channel, row, column): the same map with its outputs permuted.
    Kernel and bias have PyTorch's convolution default, uniform within `1 /
    sqrt(fan_in)`.

    Args:
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

    def build(self, tokens_shape, masked_shape):
        super().build(tokens_shape, masked_shape)
        num_tokens = tokens_shape[1] - self.num_prefix_tokens
        # Side, in patches, of what a token stands for.
        self.patches_per_side = math.isqrt(masked_shape[1] // num_tokens)
        divisible = not any(side % self.patches_per_side for side in self.grid)
        covered = num_tokens * self.patches_per_side**2
        if covered != masked_shape[1] or not divisible:
            raise ValueError(
                "Each token must stand for one patch, or for a square of them. "
                f"Received: {num_tokens} tokens for a grid of {self.grid}; is "
                "the image divisible by the encoder's stride?"
            )
        fan_in = tokens_shape[-1]
        bound = fan_in**-0.5
        self.prediction = keras.layers.Dense(
            self.target_dim * self.patches_per_side**2,
            kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
            bias_initializer=keras.initializers.RandomUniform(-bound, bound),
            dtype=self.dtype_policy,
            name="prediction",
        )
        self.prediction.build((None, fan_in))

    def call(self, tokens, masked):
        x = tokens[:, self.num_prefix_tokens :]
        x = self.prediction(keras.ops.reshape(x, (-1, tokens.shape[-1])))
        side = self.patches_per_side
        if side > 1:
            height, width = (length // side for length in self.grid)
            shape = (-1, height, width, side, side, self.target_dim)
            x = keras.ops.reshape(x, shape)
            x = keras.ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return keras.ops.reshape(x, (-1, masked.shape[1], self.target_dim))
