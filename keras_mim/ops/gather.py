import keras
from keras import ops

from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim.ops import _device
from keras_mim.ops import _on_jax


def gather_tokens(tokens, indices):
    """Picks tokens by index, per image.

    On JAX's accelerators by a product, whose gradient is no scatter. Elsewhere
    one lookup in the flattened batch: backends have a fast path for rows of a
    matrix, and none for `take_along_axis` with a broadcast index. Under
    `keras.distribution`, one lookup per image: the compiler cannot know that
    the rows of an image lie on its own device, and would send all tokens to
    all devices.

    Args:
        tokens: Tensor of shape `(batch_size, num_tokens, hidden_dim)`.
        indices: Int tensor of shape `(batch_size, num_picked)`.

    Returns:
        Tensor of shape `(batch_size, num_picked, hidden_dim)`.
    """
    check_rank("tokens", tokens, TOKENS)
    check_rank("indices", indices, "(batch_size, num_picked)")
    if _device.device() in ("jax gpu", "jax tpu"):
        return _on_jax.pick_tokens(tokens, indices)
    if keras.distribution.distribution() is not None:
        return ops.vectorized_map(
            lambda image: ops.take(image[0], image[1], axis=0),
            (tokens, indices),
        )
    _, num_tokens, hidden_dim = tokens.shape
    batch_size = ops.shape(indices)[0]
    first = ops.arange(batch_size, dtype="int32")[:, None] * num_tokens
    rows = ops.reshape(ops.cast(indices, "int32") + first, (-1,))
    picked = ops.take(ops.reshape(tokens, (-1, hidden_dim)), rows, axis=0)
    return ops.reshape(picked, (-1, indices.shape[1], hidden_dim))


def take_columns(table, indices):
    """Picks columns of a matrix.

    On TensorFlow the gradient stays dense that way. That of picked rows is
    sparse, and Keras's Adam squares each of its parts by itself. On torch
    rows are picked: Keras's columns cannot be written as ONNX.

    Args:
        table: Tensor of shape `(height, width)`.
        indices: Int array of shape `(num_picked,)`.

    Returns:
        Tensor of shape `(height, num_picked)`.
    """
    check_rank("table", table, "(height, width)")
    check_rank("indices", indices, "(num_picked,)")
    if _device.device() == "torch":
        return ops.transpose(ops.take(ops.transpose(table), indices, axis=0))
    return ops.take(table, indices, axis=1)
