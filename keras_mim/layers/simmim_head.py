import keras

from keras_mim.layers.head import Head


@keras.saving.register_keras_serializable(package="keras_mim")
class SimMIMHead(Head):
    """SimMIM's head: one linear layer from a token to the pixels of its patch.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), whose
    `decoder` is a 1x1 convolution and a pixel shuffle. Here a patch's values
    come in `patchify` order (row, column, channel), there in (channel, row,
    column): the same map with its outputs permuted. Kernel and bias have
    PyTorch's convolution default, uniform within `1 / sqrt(fan_in)`.

    Args:
        target_dim: int or `None`. Width of the prediction per patch; `None`
            takes the model's target's, and so on for the next two.
        grid: tuple of int or `None`. `(height, width)` in patches.
        num_prefix_tokens: int or `None`. Number of tokens in front, which
            predict nothing.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_prefix_tokens + num_patches,
            hidden_dim)`.
        masked: Boolean tensor of shape `(batch_size, num_patches)`.

    Output shape: `(batch_size, num_patches, target_dim)`.
    """

    def build(self, tokens_shape, masked_shape):
        super().build(tokens_shape, masked_shape)
        fan_in = tokens_shape[-1]
        bound = fan_in**-0.5
        self.prediction = keras.layers.Dense(
            self.target_dim,
            kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
            bias_initializer=keras.initializers.RandomUniform(-bound, bound),
            dtype=self.dtype_policy,
            name="prediction",
        )
        self.prediction.build((None, fan_in))

    def call(self, tokens, masked):
        x = tokens[:, self.num_prefix_tokens :]
        x = self.prediction(keras.ops.reshape(x, (-1, tokens.shape[-1])))
        return keras.ops.reshape(x, (-1, masked.shape[1], self.target_dim))
