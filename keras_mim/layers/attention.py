import keras
from keras import ops

from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim._checks import check_heads
from keras_mim._checks import get_initializer
from keras_mim.layers._settings import Composite
from keras_mim.layers._token_dense import make_dense
from keras_mim.ops import attend


@keras.saving.register_keras_serializable(package="keras_mim")
class Attention(Composite):
    """Multi-head self-attention with one fused query-key-value projection.

    Runs on each backend's fast path, a fused kernel where there is one,
    with the softmax in float32; see `keras_mim.ops.attend`.

    Reference: timm's ViT `Attention`, which MAE uses. The fused kernel matters
    for the initialisation too: Xavier uniform over `(dim, 3 * dim)` has a
    smaller bound than over three kernels of `(dim, dim)`.

    Args:
        num_heads: int. Number of heads; it must divide the token width.
        use_key_bias: bool. Whether keys have a bias, which changes nothing:
            BEiT's and SimMIM's ViT have none. Defaults to `True`.
        kernel_initializer: Keras initializer of the kernels.
            Defaults to `"glorot_uniform"`.
        output_kernel_initializer: Keras initializer of the output projection's
            kernel, or `None` for the same as the other. Defaults to `None`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_tokens, hidden_dim)`.
        bias: Tensor of shape `(1, num_heads, num_tokens, num_tokens)` or
            `None`. Added to the logits, as `RelativePositionBias` gives it.

    Output shape: Same as `tokens`.
    """

    def __init__(
        self,
        num_heads,
        use_key_bias=True,
        kernel_initializer="glorot_uniform",
        output_kernel_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_counts(num_heads=num_heads)
        check_flags(use_key_bias=use_key_bias)
        self.num_heads = num_heads
        self.use_key_bias = use_key_bias
        self.kernel_initializer = get_initializer(
            "kernel_initializer", kernel_initializer
        )
        self.output_kernel_initializer = get_initializer(
            "output_kernel_initializer", output_kernel_initializer, or_none=True
        )

    def build(self, tokens_shape, bias_shape=None):
        check_rank("tokens", tokens_shape, TOKENS)
        hidden_dim = tokens_shape[-1]
        check_heads(hidden_dim, self.num_heads)
        self.hidden_dim = hidden_dim
        self.head_dim = hidden_dim // self.num_heads
        self.query_key_value = make_dense(
            self,
            hidden_dim,
            3 * hidden_dim,
            "query_key_value",
            self.kernel_initializer,
            use_bias=self.use_key_bias,
        )
        if not self.use_key_bias:
            self.query_bias, self.value_bias = (
                self.add_weight(
                    name=f"{name}_bias",
                    shape=(hidden_dim,),
                    initializer="zeros",
                )
                for name in ("query", "value")
            )
        self.projection = make_dense(
            self,
            hidden_dim,
            hidden_dim,
            "projection",
            self.output_kernel_initializer or self.kernel_initializer,
        )

    def call(self, tokens, bias=None):
        num_tokens = tokens.shape[1]
        x = self.query_key_value(tokens)
        if not self.use_key_bias:
            x = x + without_key_bias(self.query_bias, self.value_bias, x.dtype)
        x = ops.reshape(x, (-1, num_tokens, 3, self.num_heads, self.head_dim))
        x = attend(x, bias)
        x = ops.reshape(x, (-1, num_tokens, self.hidden_dim))
        return self.projection(x)

    def compute_output_shape(self, tokens_shape, bias_shape=None):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "use_key_bias": self.use_key_bias,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "output_kernel_initializer": keras.initializers.serialize(
                self.output_kernel_initializer
            ),
        }


def without_key_bias(query_bias, value_bias, dtype):
    """Returns the bias of a fused projection whose keys have none.

    Args:
        query_bias, value_bias: Tensors of shape `(hidden_dim,)`.
        dtype: str. Dtype of the result.

    Returns:
        Tensor of shape `(3 * hidden_dim,)`.
    """
    query = ops.cast(query_bias, dtype)
    value = ops.cast(value_bias, dtype)
    return ops.concatenate([query, ops.zeros_like(query), value])
