"""What torch does by calls that Keras does not make.

Keras's own wait for the device, and stop `torch.compile`: to split, they make a
tensor of where; to attend, they ask CUDA whether a kernel fits. And its layer
norm cannot be written as ONNX.
"""

import keras
from keras import ops


def attend_fused(query_key_value, bias=None):
    """As `keras_mim.ops.attend`: torch itself picks the kernel that fits."""
    import torch

    dtype = query_key_value.dtype
    query, key, value = query_key_value.permute(2, 0, 3, 1, 4).unbind()
    x = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, None if bias is None else bias.to(dtype)
    )
    return x.transpose(1, 2)


def split_tokens(tokens, number):
    """As `keras_mim.ops.split_tokens`."""
    return tokens.split([number, tokens.shape[1] - number], dim=1)


def normalize(tokens, gamma, beta, epsilon):
    """As `keras_mim.ops.normalize_tokens`."""
    import torch

    tokens = ops.convert_to_tensor(tokens)
    dtype = keras.backend.result_type(tokens.dtype, "float32")
    gamma, beta = (
        None if x is None else ops.convert_to_tensor(x, dtype)
        for x in (gamma, beta)
    )
    width = int(tokens.shape[-1])
    x = torch.nn.functional.layer_norm(
        ops.cast(tokens, dtype), (width,), gamma, beta, epsilon
    )
    return x.to(tokens.dtype)
