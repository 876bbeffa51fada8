import keras
from keras import ops

from keras_mim.layers.attention import Attention
from keras_mim.layers.drop_path import DropPath
from keras_mim.layers.layer_scale import LayerScale
from keras_mim.layers.rematerialised import rematerialised
from keras_mim.ops import gelu


@keras.saving.register_keras_serializable(package="keras_mim")
class TransformerBlock(keras.layers.Layer):
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
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.drop_path_rate = drop_path_rate
        self.layer_scale = layer_scale
        self.use_key_bias = use_key_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_kernel_initializer = keras.initializers.get(
            output_kernel_initializer
        )
        self.remat = remat

    def build(self, tokens_shape, bias_shape=None):
        hidden_dim = tokens_shape[-1]
        last = self.output_kernel_initializer or self.kernel_initializer
        self.attention = Attention(
            self.num_heads,
            self.use_key_bias,
            self.kernel_initializer.clone(),
            last.clone(),
            dtype=self.dtype_policy,
            name="attention",
        )
        self.mlp_in = self._dense(
            self.mlp_dim, self.kernel_initializer, "mlp_in"
        )
        self.mlp_out = self._dense(hidden_dim, last, "mlp_out")
        self.attention_norm = self._layer_norm("attention_norm")
        self.mlp_norm = self._layer_norm("mlp_norm")
        self.attention_branch_end = self._branch_end("attention_scale")
        self.mlp_branch_end = self._branch_end("mlp_scale")
        self.attention_drop_path = self._drop_path("attention_drop_path")
        self.mlp_drop_path = self._drop_path("mlp_drop_path")
        self.attention.build(tokens_shape)
        self.mlp_in.build((None, hidden_dim))
        self.mlp_out.build((None, self.mlp_dim))
        for layer in (
            self.attention_norm,
            self.mlp_norm,
            *self.attention_branch_end,
            *self.mlp_branch_end,
            self.attention_drop_path,
            self.mlp_drop_path,
        ):
            layer.build(tokens_shape)

    def _dense(self, units, initializer, name):
        # A copy: one initializer would draw the same values for two kernels.
        return keras.layers.Dense(
            units,
            kernel_initializer=initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def _layer_norm(self, name):
        return keras.layers.LayerNormalization(
            epsilon=1e-6, dtype=self.dtype_policy, name=name
        )

    def _branch_end(self, name):
        if self.layer_scale is None:
            return []
        return [
            LayerScale(self.layer_scale, dtype=self.dtype_policy, name=name)
        ]

    def _drop_path(self, name):
        return DropPath(self.drop_path_rate, dtype=self.dtype_policy, name=name)

    def call(self, tokens, bias=None, training=None):
        remat = self.remat and training
        attend = rematerialised(self._attention_branch, remat)
        # No `None`: TensorFlow rematerialises functions of tensors only.
        x = attend(tokens) if bias is None else attend(tokens, bias)
        tokens = tokens + self.attention_drop_path(x)
        x = rematerialised(self._mlp_branch, remat)(tokens)
        return tokens + self.mlp_drop_path(x)

    def _attention_branch(self, tokens, bias=None):
        x = self.attention(self.attention_norm(tokens), bias)
        for layer in self.attention_branch_end:
            x = layer(x)
        return x

    def _mlp_branch(self, tokens):
        _, num_tokens, hidden_dim = tokens.shape
        x = self.mlp_norm(tokens)
        # As a matrix, for the reason given in `Attention`.
        x = self.mlp_in(ops.reshape(x, (-1, hidden_dim)))
        x = self.mlp_out(gelu(x))
        x = ops.reshape(x, (-1, num_tokens, hidden_dim))
        for layer in self.mlp_branch_end:
            x = layer(x)
        return x

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
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "output_kernel_initializer": keras.initializers.serialize(
                self.output_kernel_initializer
            ),
            "remat": self.remat,
        }
