"""The forms of attention's core, and when each is the fastest."""

import keras
from keras import ops

from keras_mim._array_checks import check_rank
from keras_mim.ops import _device
from keras_mim.ops import _on_jax
from keras_mim.ops import _on_torch


def attend(query_key_value, bias=None):
    """Multi-head attention of projected tokens.

    torch has fused kernels, and JAX on GPUs has cuDNN's, for half precision.
    (Keras's call fails there on odd numbers of tokens, logs that and keeps all
    weights.) On TPUs Keras's `dot_product_attention` finds the kernel.
    Elsewhere plain products over a layout with the heads in front are faster
    than Keras's, which contracts over the middle of its arguments: on CPUs 1.2
    times on TensorFlow, twice on JAX.

    Args:
        query_key_value: Tensor of shape `(batch_size, num_tokens, 3,
            num_heads, head_dim)`.
        bias: Tensor of shape `(1, num_heads, num_tokens, num_tokens)` or
            `None`. Added to the logits. Defaults to `None`.

    Returns:
        Tensor of shape `(batch_size, num_tokens, num_heads, head_dim)`.
    """
    axes = "(batch_size, num_tokens, 3, num_heads, head_dim)"
    check_rank("query_key_value", query_key_value, axes)
    if bias is not None:
        check_rank("bias", bias, "(1, num_heads, num_tokens, num_tokens)")
        bias = ops.convert_to_tensor(bias)
    device = _device.device()
    if device == "torch":
        return _on_torch.attend_fused(query_key_value, bias)
    if device == "jax gpu":
        fused = _on_jax.attend_fused(query_key_value, bias)
        if fused is not None:
            return fused
    # Scaling the query first keeps the logits inside float16's range.
    scale = query_key_value.shape[-1] ** -0.5
    if device == "jax tpu":
        query, key, value = ops.unstack(query_key_value, 3, axis=2)
        return ops.dot_product_attention(
            query * scale, key, value, bias, scale=1.0
        )
    x = ops.transpose(query_key_value, (2, 0, 3, 1, 4))
    query, key, value = ops.unstack(x, 3, axis=0)
    logits = ops.matmul(query * scale, ops.swapaxes(key, -1, -2))
    return ops.transpose(mean_of_values(logits, value, bias), (0, 2, 1, 3))


def mean_of_values(logits, value, bias=None):
    """Returns `softmax(logits + bias) @ value`, the softmax in float32.

    Args:
        logits: Tensor of shape `(..., num_tokens, num_keys)`.
        value: Tensor of shape `(..., num_keys, head_dim)`.
        bias: Tensor that broadcasts to the logits, or `None`.

    Returns:
        Tensor of shape `(..., num_tokens, head_dim)`, of `value`'s dtype.
    """
    check_rank("logits", logits, "(..., num_tokens, num_keys)")
    check_rank("value", value, "(..., num_keys, head_dim)")
    if bias is not None:
        check_rank("bias", bias, "(...)")
    dtype = keras.backend.result_type(logits.dtype, "float32")
    logits = ops.cast(logits, dtype)
    if bias is not None:
        logits = logits + ops.cast(bias, dtype)
    if keras.backend.backend() != "jax":
        weights = ops.softmax(logits)
        return ops.matmul(ops.cast(weights, value.dtype), value)
    # Dividing the product is dividing fewer numbers, and its gradient needs
    # no sum over all pairs of tokens. (TensorFlow's fused softmax is faster.)
    largest = ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True))
    weights = ops.exp(logits - largest)
    total = ops.sum(weights, axis=-1, keepdims=True)
    sums = ops.matmul(ops.cast(weights, value.dtype), value)
    return ops.cast(ops.cast(sums, dtype) / total, value.dtype)
