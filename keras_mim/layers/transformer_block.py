import keras

from keras_mim._checks import check_flags
from keras_mim.layers._block import Block
from keras_mim.layers.attention import Attention


@keras.saving.register_keras_serializable(package="keras_mim")
class TransformerBlock(Block):
    """Pre-norm transformer block: attention, then a two-layer perceptron.

        tokens += drop_path(layer_scale(attention(norm(tokens))))
        tokens += drop_path(layer_scale(mlp(norm(tokens))))

    Reference: timm's ViT `Block`, which MAE uses: GELU in its exact form, layer
    norm with epsilon 1e-6, zero biases and, by default, Xavier uniform kernels.

    Args:
        num_heads: int. Number of attention heads.
        mlp_dim: int. Width of the perceptron's hidden layer.
        drop_path_rate: float. Probability of dropping each branch, per image.
            Defaults to `0.0`.
        layer_scale: float or `None`. Initial factor of `LayerScale`; `None`
            leaves it out. Defaults to `None`.
        use_key_bias: bool. See `Attention`. Defaults to `True`.
        kernel_initializer: Keras initializer of the kernels.
            Defaults to `"glorot_uniform"`.
        output_kernel_initializer: Keras initializer of the last kernel of both
            branches, or `None` for the same as the others. Defaults to `None`.
        remat: bool. Whether training keeps only the input of each branch, and
            computes the branch again for the gradient: less memory for more
            time. Defaults to `False`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_tokens, hidden_dim)`.
        bias: Tensor or `None`. Bias of the attention; see `Attention`.

    Output shape: Same as `tokens`.
    """

    def __init__(
        self,
        num_heads,
        mlp_dim,
        drop_path_rate=0.0,
        layer_scale=None,
        use_key_bias=True,
        kernel_initializer="glorot_uniform",
        output_kernel_initializer=None,
        remat=False,
        **kwargs,
    ):
        super().__init__(
            num_heads,
            mlp_dim,
            drop_path_rate,
            layer_scale,
            kernel_initializer,
            output_kernel_initializer,
            remat,
            **kwargs,
        )
        check_flags(use_key_bias=use_key_bias)
        self.use_key_bias = use_key_bias

    # The shapes of both arguments, or Keras would leave the bias's out.
    def build(self, tokens_shape, bias_shape=None):
        super().build(tokens_shape)

    def make_attention(self, tokens_shape, output_initializer):
        attention = Attention(
            self.num_heads,
            self.use_key_bias,
            self.kernel_initializer.clone(),
            output_initializer.clone(),
            dtype=self.dtype_policy,
            name="attention",
        )
        attention.build(tokens_shape)
        return attention

    def call(self, tokens, bias=None, training=None):
        bias = () if bias is None else (bias,)
        return self.run_branches(tokens, bias, training)

    def compute_output_shape(self, tokens_shape, bias_shape=None):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "layer_scale": self.layer_scale,
            "use_key_bias": self.use_key_bias,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "output_kernel_initializer": keras.initializers.serialize(
                self.output_kernel_initializer
            ),
        }
