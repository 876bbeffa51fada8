import keras
from keras import ops

from keras_mim._checks import check_kind
from keras_mim.layers._windowed_attention import WindowedAttention
from keras_mim.ops import resize_relative_positions


@keras.saving.register_keras_serializable(package="keras_mim")
class WindowAttention(WindowedAttention):
    """Self-attention inside windows of a feature map, shifted or not.

    Heads add a learned bias for the offset between two tokens of a window. See
    `WindowedAttention` for the shift, and for maps that windows do not fit.

    Reference: [Liu et al., 2021](https://arxiv.org/abs/2103.14030), Swin's
    `WindowAttention`. Kernels and biases of offsets are normal with standard
    deviation 0.02, the other biases zero.

    Args:
        num_heads: int. Number of heads; it must divide the width.
        window_size: int. Side of a window in tokens.
        shift_size: int. Tokens to roll by, in [0, window_size).
            Defaults to `0`.

    Call arguments:
        feature_map: Tensor of shape `(batch_size, height, width, hidden_dim)`.

    Output shape: Same as `feature_map`.
    """

    def build(self, feature_map_shape):
        super().build(feature_map_shape)
        self.table = self.add_weight(
            name="table",
            shape=((2 * self.window - 1) ** 2, self.num_heads),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        self.query_key_value = self._dense(
            3 * self.hidden_dim, "query_key_value"
        )
        self.projection = self._dense(self.hidden_dim, "projection")

    def resized_table(self, other):
        """Returns this layer's table for the windows of another.

        By SimMIM's geometric rule, which needs scipy.

        Args:
            other: `WindowAttention` that is to take the table.

        Returns:
            NumPy array of the shape of `other.table`.
        """
        check_kind(WindowAttention, other=other)
        table = ops.convert_to_numpy(self.table)
        if self.window == other.window:
            return table
        own, new = (self.window,) * 2, (other.window,) * 2
        return resize_relative_positions(table, own, new)

    def _project(self, tokens):
        return self.query_key_value(tokens)

    def _attend(self, query, key, value):
        # Scaling the query first keeps the logits inside float16's range.
        query = query * query.shape[-1] ** -0.5
        table = ops.transpose(self.table)
        return self._mean_of_values(query, key, value, table)
