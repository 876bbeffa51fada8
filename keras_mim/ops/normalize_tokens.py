import keras
from keras import ops

from keras_mim._array_checks import check_rank
from keras_mim._checks import check_numbers
from keras_mim.ops import _device
from keras_mim.ops import _on_jax
from keras_mim.ops import _on_torch


def normalize_tokens(tokens, gamma, beta, epsilon):
    """Layer normalization over the last axis, in float32.

    Keras's but for half precision on JAX with a GPU, where the norm and its
    gradient take a quarter less time if the variance comes from the mean of
    the squares. (Tokens of float32 would lose digits by that.) On torch the
    width is a number, where Keras traces it, and no exporter takes that.

    Args:
        tokens: Tensor of shape `(..., hidden_dim)`.
        gamma, beta: Float32 tensors of shape `(hidden_dim,)`.
        epsilon: float. Added to the variance.

    Returns:
        Tensor of the shape and dtype of `tokens`.
    """
    check_rank("tokens", tokens, "(..., hidden_dim)")
    check_rank("gamma", gamma, "(hidden_dim,)")
    check_rank("beta", beta, "(hidden_dim,)")
    check_numbers("[0, inf)", epsilon=epsilon)
    device = _device.device()
    if device == "torch":
        return _on_torch.normalize(tokens, gamma, beta, epsilon)
    half = keras.backend.standardize_dtype(tokens.dtype) in (
        "bfloat16",
        "float16",
    )
    if half and device == "jax gpu":
        gamma, beta = ops.convert_to_tensor(gamma), ops.convert_to_tensor(beta)
        return _on_jax.normalize(tokens, gamma, beta, epsilon)
    return ops.layer_normalization(tokens, gamma, beta, -1, epsilon)
