from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim._checks import check_numbers
from keras_mim._checks import get_initializer
from keras_mim.layers._rematerialized import rematerialized
from keras_mim.layers._settings import Composite
from keras_mim.layers._token_dense import make_dense
from keras_mim.layers._token_norm import TokenNorm
from keras_mim.layers.drop_path import DropPath
from keras_mim.layers.layer_scale import LayerScale
from keras_mim.ops import gelu


class Block(Composite):
    """The transformer block that ViT and both Swins have in common.

        tokens += drop_path(layer_scale(attention(norm(tokens))))
        tokens += drop_path(layer_scale(mlp(norm(tokens))))

    A subclass makes the attention in `make_attention`, and says in the class
    attributes where the norms stand and how they start.

    Args: those of `TransformerBlock`.
    """

    norm_epsilon = 1e-6
    # Whether a norm ends a branch rather than beginning it.
    norm_last = False
    # How the factors of the norms start.
    norm_initializer = "ones"

    def __init__(
        self,
        num_heads,
        mlp_dim,
        drop_path_rate=0.0,
        layer_scale=None,
        kernel_initializer="glorot_uniform",
        output_kernel_initializer=None,
        remat=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_counts(num_heads=num_heads, mlp_dim=mlp_dim)
        check_numbers("[0, 1)", drop_path_rate=drop_path_rate)
        check_numbers("(-inf, inf)", or_none=True, layer_scale=layer_scale)
        check_flags(remat=remat)
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.drop_path_rate = drop_path_rate
        self.layer_scale = layer_scale
        self.kernel_initializer = get_initializer(
            "kernel_initializer", kernel_initializer
        )
        self.output_kernel_initializer = get_initializer(
            "output_kernel_initializer", output_kernel_initializer, or_none=True
        )
        self.remat = remat

    def make_attention(self, tokens_shape, output_initializer):
        """Returns the built attention layer, named `"attention"`.

        Args:
            tokens_shape: tuple of int. Shape of the tokens.
            output_initializer: Keras initializer of its last kernel.
        """
        raise NotImplementedError

    def attend(self, tokens, *bias):
        """Returns what the attention makes of the tokens."""
        return self.attention(tokens, *bias)

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, TOKENS)
        hidden_dim = tokens_shape[-1]
        first = self.kernel_initializer
        last = self.output_kernel_initializer or first
        self.attention = self.make_attention(tokens_shape, last)
        self.mlp_in = make_dense(
            self, hidden_dim, self.mlp_dim, "mlp_in", first
        )
        self.mlp_out = make_dense(
            self, self.mlp_dim, hidden_dim, "mlp_out", last
        )
        self.attention_norm = self._layer_norm("attention_norm")
        self.mlp_norm = self._layer_norm("mlp_norm")
        self.attention_branch_end = self._branch_end("attention_scale")
        self.mlp_branch_end = self._branch_end("mlp_scale")
        self.attention_drop_path = self._drop_path("attention_drop_path")
        self.mlp_drop_path = self._drop_path("mlp_drop_path")
        for layer in (
            self.attention_norm,
            self.mlp_norm,
            *self.attention_branch_end,
            *self.mlp_branch_end,
            self.attention_drop_path,
            self.mlp_drop_path,
        ):
            layer.build(tokens_shape)

    def attention_layers(self):
        """Returns the layers of the attention branch, which is half a block.

        (A property would be saved by Keras, under its own name.)
        """
        return [
            self.attention_norm,
            self.attention,
            *self.attention_branch_end,
        ]

    def _layer_norm(self, name):
        return TokenNorm(
            epsilon=self.norm_epsilon,
            gamma_initializer=self.norm_initializer,
            dtype=self.dtype_policy,
            name=name,
        )

    def _branch_end(self, name):
        if self.layer_scale is None:
            return []
        return [
            LayerScale(self.layer_scale, dtype=self.dtype_policy, name=name)
        ]

    def _drop_path(self, name):
        return DropPath(self.drop_path_rate, dtype=self.dtype_policy, name=name)

    def call(self, tokens, training=None):
        return self.run_branches(tokens, (), training)

    def run_branches(self, tokens, bias, training):
        """Adds both branches to the tokens.

        Args:
            tokens: Tensor of shape `(batch_size, num_tokens, hidden_dim)`.
            bias: tuple of none or one tensor, for `attend`. No `None` in it:
                TensorFlow rematerializes functions of tensors only.
            training: bool or `None`.
        """
        active = self.remat and training
        x = rematerialized(self._attention_branch, active)(tokens, *bias)
        tokens = tokens + self.attention_drop_path(x, training=training)
        x = rematerialized(self._mlp_branch, active)(tokens)
        return tokens + self.mlp_drop_path(x, training=training)

    def _attention_branch(self, tokens, *bias):
        if self.norm_last:
            x = self.attention_norm(self.attend(tokens, *bias))
        else:
            x = self.attend(self.attention_norm(tokens), *bias)
        for layer in self.attention_branch_end:
            x = layer(x)
        return x

    def _mlp_branch(self, tokens):
        x = tokens if self.norm_last else self.mlp_norm(tokens)
        x = self.mlp_out(gelu(self.mlp_in(x)))
        x = self.mlp_norm(x) if self.norm_last else x
        for layer in self.mlp_branch_end:
            x = layer(x)
        return x

    def compute_output_shape(self, tokens_shape):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "drop_path_rate": self.drop_path_rate,
            "remat": self.remat,
        }
