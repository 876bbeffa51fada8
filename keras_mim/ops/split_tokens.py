import keras
from keras import ops

from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim.ops import _on_torch


def split_tokens(tokens, number):
    """Parts the first tokens from the others.

    Not two slices, whose gradients would be two whole arrays to add.

    Args:
        tokens: Tensor of shape `(batch_size, num_tokens, hidden_dim)`.
        number: int. How many are the first; may be 0.

    Returns:
        Tensors of shape `(batch_size, number, hidden_dim)` and `(batch_size,
        num_tokens - number, hidden_dim)`.
    """
    check_rank("tokens", tokens, TOKENS)
    check_counts(least=0, number=number)
    if keras.backend.backend() == "torch":
        return _on_torch.split_tokens(ops.convert_to_tensor(tokens), number)
    return ops.split(tokens, [number], axis=1)
