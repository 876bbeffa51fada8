import keras
import numpy as np
from keras import ops

from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim._checks import check_heads
from keras_mim.layers._settings import Composite
from keras_mim.layers._token_dense import make_dense
from keras_mim.ops import _on_litert
from keras_mim.ops import mean_of_values
from keras_mim.ops import relative_position_index
from keras_mim.ops import take_columns


class WindowedAttention(Composite):
    """What the attentions of both Swins share: how a map is cut into windows.

    A shift rolls the map up and to the left before it is cut: the last windows
    then hold pieces from opposite sides of the map, which do not attend to
    each other (their logits get -100).

    A map that the windows do not divide is padded with zeros at the bottom
    and on the right. These take part as keys, as in the references, and are
    cut off at the end. A window that is not smaller than the map's shorter
    side becomes as small as that side, and the shift 0.

    A subclass implements `_project` and `_attend`, and adds its weights after
    `super().build()`.

    Reference: the half of Swin's `SwinTransformerBlock` around its
    `WindowAttention` ([Liu et al., 2021](https://arxiv.org/abs/2103.14030));
    padding as in its detection code and in transformers' `SwinLayer`.

    Args:
        num_heads: int. Number of heads; it must divide the width.
        window_size: int. Side of a window in tokens.
        shift_size: int. Tokens to roll by, in [0, window_size).
            Defaults to `0`.

    Call arguments:
        feature_map: Tensor of shape `(batch_size, height, width, hidden_dim)`.

    Output shape: Same as `feature_map`.
    """

    def __init__(self, num_heads, window_size, shift_size=0, **kwargs):
        super().__init__(**kwargs)
        check_counts(num_heads=num_heads)
        check_shift(window_size, shift_size)
        self.num_heads = num_heads
        self.window_size = window_size
        self.shift_size = shift_size

    def build(self, feature_map_shape):
        axes = "(batch_size, height, width, hidden_dim)"
        check_rank("feature_map", feature_map_shape, axes)
        _, height, width, hidden_dim = feature_map_shape
        check_heads(hidden_dim, self.num_heads)
        self.hidden_dim = hidden_dim
        self.window, self.shift = self.window_size, self.shift_size
        if min(height, width) <= self.window:
            self.window, self.shift = min(height, width), 0
        # The number of windows down and across.
        self.rows = -(-height // self.window)
        self.columns = -(-width // self.window)
        window = (self.window, self.window)
        self.offsets = relative_position_index(window).reshape(-1)
        self.regions = _regions(
            self.rows, self.columns, self.window, self.shift
        )

    def _project(self, tokens):
        """Returns queries, keys and values, side by side.

        Args:
            tokens: Tensor of shape `(batch_size, height, width, hidden_dim)`.

        Returns:
            Tensor of shape `(batch_size, height, width, 3 * hidden_dim)`.
        """
        raise NotImplementedError

    def _attend(self, query, key, value):
        """Returns the mean of the values, per window and head.

        Args:
            query, key, value: Tensors of shape `(batch_size, num_windows *
                num_heads, window ** 2, head_dim)`.

        Returns:
            Tensor of the same shape and dtype.
        """
        raise NotImplementedError

    def _dense(self, units, name, use_bias=True):
        return make_dense(
            self,
            self.hidden_dim,
            units,
            name,
            keras.initializers.RandomNormal(stddev=0.02),
            use_bias=use_bias,
        )

    def call(self, feature_map):
        _, height, width, dim = feature_map.shape
        bottom = self.rows * self.window - height
        right = self.columns * self.window - width
        x = feature_map
        if bottom or right:
            x = ops.pad(x, ((0, 0), (0, bottom), (0, right), (0, 0)))
        if self.shift:
            x = _on_litert.roll(x, (-self.shift, -self.shift), axis=(1, 2))
        x = self._attend_in_windows(x)
        if self.shift:
            x = _on_litert.roll(x, (self.shift, self.shift), axis=(1, 2))
        return x[:, :height, :width] if bottom or right else x

    def _attend_in_windows(self, x):
        x = self._project(x)
        # One transpose cuts out windows, heads, queries, keys and values. The
        # windows stand beside the heads: the bias, which may differ from
        # window to window, then has one entry for all images.
        head_dim = self.hidden_dim // self.num_heads
        cut = (-1, self.rows, self.window, self.columns, self.window)
        x = ops.reshape(x, (*cut, 3, self.num_heads, head_dim))
        x = _on_litert.transpose(x, (5, 0, 1, 3, 6, 2, 4, 7))
        heads = self.rows * self.columns * self.num_heads
        x = ops.reshape(x, (3, -1, heads, self.window**2, head_dim))
        x = self._attend(*ops.unstack(x, 3, axis=0))
        window = (self.window, self.window, head_dim)
        x = ops.reshape(
            x, (-1, self.rows, self.columns, self.num_heads, *window)
        )
        x = _on_litert.transpose(x, (0, 1, 4, 2, 5, 3, 6))
        height, width = self.rows * self.window, self.columns * self.window
        x = ops.reshape(x, (-1, height, width, self.hidden_dim))
        return self.projection(x)

    def _mean_of_values(self, query, key, value, table):
        """Returns what `_attend` does, given the biases of offsets.

        Plain products are faster than `ops.dot_product_attention`, which
        transposes its arguments; flash kernels gain nothing on windows.
        """
        logits = ops.matmul(query, ops.swapaxes(key, -1, -2))
        return mean_of_values(logits, value, self._bias_of_windows(table))

    def _bias_of_windows(self, table):
        """Returns the bias of all windows' logits, given that of offsets.

        Args:
            table: Tensor of shape `(num_heads, num_offsets)`.

        Returns:
            Tensor of shape `(1, num_windows * num_heads, window ** 2,
            window ** 2)`, with -100 between pieces of a shifted map.
        """
        num_tokens, num_windows = self.window**2, self.rows * self.columns
        bias = take_columns(table, self.offsets)
        bias = ops.reshape(bias, (1, self.num_heads, num_tokens, num_tokens))
        shape = (num_windows, self.num_heads, num_tokens, num_tokens)
        if self.shift:
            regions = ops.convert_to_tensor(self.regions)
            apart = regions[:, None, :, None] != regions[:, None, None, :]
            bias = ops.where(apart, bias - 100.0, bias)
        else:
            bias = ops.broadcast_to(bias, shape)
        return ops.reshape(bias, (1, -1, num_tokens, num_tokens))

    def compute_output_shape(self, feature_map_shape):
        return feature_map_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "window_size": self.window_size,
            "shift_size": self.shift_size,
        }


def check_shift(window_size, shift_size):
    """Raises a `ValueError` unless a window can be shifted by so much."""
    check_counts(window_size=window_size)
    check_counts(least=0, shift_size=shift_size)
    if shift_size >= window_size:
        raise ValueError(
            "`shift_size` must lie in [0, window_size). Received: "
            f"window_size={window_size}, shift_size={shift_size}"
        )


def _regions(rows, columns, window, shift):
    """Numbers the pieces of a rolled map, per window and token.

    Kept in place of the masks, which are `window ** 2` times as large.
    """
    pieces = []
    for number in (rows, columns):
        place = np.arange(number * window)
        last = place >= place.size - window
        pieces.append(last.astype("int32") + (place >= place.size - shift))
    regions = 3 * pieces[0][:, None] + pieces[1][None, :]
    regions = regions.reshape(rows, window, columns, window)
    regions = regions.transpose(0, 2, 1, 3).reshape(-1, window**2)
    return regions.astype("int32")
