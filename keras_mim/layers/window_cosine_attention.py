import math

import keras
import numpy as np
from keras import ops

from keras_mim._checks import check_counts
from keras_mim.layers._windowed_attention import WindowedAttention
from keras_mim.layers.attention import without_key_bias


@keras.saving.register_keras_serializable(package="keras_mim")
class WindowCosineAttention(WindowedAttention):
    """Self-attention inside windows by cosines, with positions of any window.

    A logit is the cosine of query and key, times a learned scale of the head,
    at most 100. The bias for the offset between two tokens comes from a small
    perceptron of its logarithm, so that weights fit any window. See
    `WindowedAttention` for the shift, and for maps that windows do not fit.

    Reference: [Liu et al., 2021](https://arxiv.org/abs/2111.09883), Swin v2's
    `WindowAttention`. Kernels are normal with standard deviation 0.02, biases
    zero, scales 10; keys have no bias. Logits and their softmax are computed
    in float32 under mixed precision. A query or key of zeros has the cosine 0,
    with a gradient of its own size; there, references divide by 1e-12.

    Args:
        num_heads: int. Number of heads; it must divide the width.
        window_size: int. Side of a window in tokens.
        shift_size: int. Tokens to roll by, in [0, window_size).
            Defaults to `0`.
        pretrained_window_size: int or `None`. Side of the windows that the
            weights were trained with: offsets are measured by it. `None` is
            the window as it is here. Defaults to `None`.

    Call arguments:
        feature_map: Tensor of shape `(batch_size, height, width, hidden_dim)`.

    Output shape: Same as `feature_map`.
    """

    def __init__(
        self,
        num_heads,
        window_size,
        shift_size=0,
        pretrained_window_size=None,
        **kwargs,
    ):
        super().__init__(num_heads, window_size, shift_size, **kwargs)
        check_counts(
            or_none=True, pretrained_window_size=pretrained_window_size
        )
        self.pretrained_window_size = pretrained_window_size

    def build(self, feature_map_shape):
        super().build(feature_map_shape)
        dim = self.hidden_dim
        self.logarithms = log_offsets(self.window, self.pretrained_window_size)
        self.logit_scale = self.add_weight(
            name="logit_scale",
            shape=(self.num_heads,),
            initializer=keras.initializers.Constant(math.log(10)),
            autocast=False,
        )
        self.query_bias, self.value_bias = (
            self.add_weight(
                name=f"{name}_bias", shape=(dim,), initializer="zeros"
            )
            for name in ("query", "value")
        )
        self.query_key_value = self._dense(
            3 * dim, "query_key_value", use_bias=False
        )
        self.projection = self._dense(dim, "projection")
        # Of the published size; it makes biases, so not at low precision.
        self.position_in = keras.layers.Dense(
            512,
            activation="relu",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
            dtype=self.variable_dtype,
            name="position_in",
        )
        self.position_in.build((None, 2))
        self.position_out = keras.layers.Dense(
            self.num_heads,
            use_bias=False,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
            dtype=self.variable_dtype,
            name="position_out",
        )
        self.position_out.build((None, 512))

    def _project(self, tokens):
        x = self.query_key_value(tokens)
        return x + without_key_bias(self.query_bias, self.value_bias, x.dtype)

    def _attend(self, query, key, value):
        # At least float32: cosines close to each other are told apart by a
        # factor of up to 100, and halves have errors of 0.4 at 100.
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        scale = ops.exp(ops.minimum(self.logit_scale, math.log(100)))
        scale = ops.tile(ops.cast(scale, dtype), self.rows * self.columns)
        query = _unit(ops.cast(query, dtype)) * scale[:, None, None]
        x = self.position_out(self.position_in(self.logarithms))
        table = ops.cast(16.0 * ops.sigmoid(ops.transpose(x)), dtype)
        key, mixed = _unit(ops.cast(key, dtype)), ops.cast(value, dtype)
        x = self._mean_of_values(query, key, mixed, table)
        return ops.cast(x, value.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "pretrained_window_size": self.pretrained_window_size,
        }


def log_offsets(window, pretrained=None):
    """Returns the logarithms of all offsets inside a window.

    Offsets of the window that was trained with lie in [-8, 8]; they become
    `sign(offset) * log8(1 + abs(offset))`.

    Args:
        window: int. Side of the window in tokens.
        pretrained: int or `None`. Side of the window that was trained with.

    Returns:
        Float32 NumPy array of shape `((2 * window - 1) ** 2, 2)`: rows and
        columns, in the order of `keras_mim.ops.relative_position_index`.
    """
    offsets = np.arange(1 - window, window) * 8.0
    # A window of one token has one offset, zero.
    offsets = offsets / max((pretrained or window) - 1, 1)
    logarithms = np.sign(offsets) * np.log2(np.abs(offsets) + 1) / 3
    pairs = np.meshgrid(logarithms, logarithms, indexing="ij")
    return np.stack(pairs, axis=-1).reshape(-1, 2).astype("float32")


def _unit(x):
    """Returns vectors of length one in the last axis, zeros for zeros.

    The keys of padding are zeros: there, the length has no gradient.
    """
    squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
    # The square of the references' bound for what is taken as zero, 1e-12.
    zero = squares < 1e-24
    return x * ops.where(zero, 1.0, ops.rsqrt(ops.where(zero, 1.0, squares)))
