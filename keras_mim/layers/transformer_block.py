import keras
from keras import ops

from keras_mim.layers.attention import Attention
from keras_mim.layers.drop_path import DropPath
from keras_mim.layers.layer_scale import LayerScale


@keras.saving.register_keras_serializable(package="keras_mim")
class TransformerBlock(keras.layers.Layer):
    """Pre-norm transformer block: attention, then a two-layer perceptron.

        tokens += drop_path(layer_scale(attention(norm(tokens))))
        tokens += drop_path(layer_scale(mlp(norm(tokens))))

    Reference: timm's ViT `Block`, which MAE uses: GELU in its exact form, layer
    norm with epsilon 1e-6, Xavier uniform kernels, zero biases.

    Args:
        num_heads: int. Number of attention heads.
        mlp_dim: int. Width of the perceptron's hidden layer.
        drop_path_rate: float. Probability of dropping each branch, per image.
            Defaults to `0.0`.
        layer_scale: float or `None`. Initial factor of `LayerScale`; `None`
            leaves it out. Defaults to `None`.
        use_key_bias: bool. See `Attention`. Defaults to `True`.

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
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.drop_path_rate = drop_path_rate
        self.layer_scale = layer_scale
        self.use_key_bias = use_key_bias

    def build(self, tokens_shape, bias_shape=None):
        hidden_dim = tokens_shape[-1]
        policy = self.dtype_policy
        self.attention = Attention(
            self.num_heads, self.use_key_bias, dtype=policy, name="attention"
        )
        self.mlp_in = keras.layers.Dense(
            self.mlp_dim, dtype=policy, name="mlp_in"
        )
        self.mlp_out = keras.layers.Dense(
            hidden_dim, dtype=policy, name="mlp_out"
        )
        self.attention_norm = self._layer_norm("attention_norm")
        self.mlp_norm = self._layer_norm("mlp_norm")
        self.attention_branch_end = self._branch_end("attention")
        self.mlp_branch_end = self._branch_end("mlp")
        self.attention.build(tokens_shape)
        self.mlp_in.build((None, hidden_dim))
        self.mlp_out.build((None, self.mlp_dim))
        for layer in (
            self.attention_norm,
            self.mlp_norm,
            *self.attention_branch_end,
            *self.mlp_branch_end,
        ):
            layer.build(tokens_shape)

    def _layer_norm(self, name):
        return keras.layers.LayerNormalization(
            epsilon=1e-6, dtype=self.dtype_policy, name=name
        )

    def _branch_end(self, branch):
        layers = []
        if self.layer_scale is not None:
            layers.append(
                LayerScale(
                    self.layer_scale,
                    dtype=self.dtype_policy,
                    name=f"{branch}_scale",
                )
            )
        if self.drop_path_rate > 0:
            layers.append(
                DropPath(
                    self.drop_path_rate,
                    dtype=self.dtype_policy,
                    name=f"{branch}_drop_path",
                )
            )
        return layers

    def call(self, tokens, bias=None, training=None):
        x = self.attention(self.attention_norm(tokens), bias)
        for layer in self.attention_branch_end:
            x = layer(x)
        tokens = tokens + x
        x = self._mlp(self.mlp_norm(tokens))
        for layer in self.mlp_branch_end:
            x = layer(x)
        return tokens + x

    def _mlp(self, tokens):
        _, num_tokens, hidden_dim = tokens.shape
        # As a matrix, for the reason given in `Attention`.
        x = self.mlp_in(ops.reshape(tokens, (-1, hidden_dim)))
        x = self.mlp_out(ops.gelu(x, approximate=False))
        return ops.reshape(x, (-1, num_tokens, hidden_dim))

    def compute_output_shape(self, tokens_shape, bias_shape=None):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "drop_path_rate": self.drop_path_rate,
            "layer_scale": self.layer_scale,
            "use_key_bias": self.use_key_bias,
        }
