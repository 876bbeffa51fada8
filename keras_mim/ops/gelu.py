import keras
from keras import ops

from keras_mim._array_checks import check_rank
from keras_mim.ops import _on_litert


def gelu(x):
    """GELU in its exact form, by the error function.

    Keras's computes the complement of the error function on JAX and
    TensorFlow, which is exact to more digits where the result is almost zero,
    and takes twice as long on JAX. Here, as in torch, the error is below 1e-6
    everywhere. Torch has a kernel of its own, and LiteRT one for Keras's form.

    Reference: [Hendrycks and Gimpel, 2016](https://arxiv.org/abs/1606.08415).

    Args:
        x: Float tensor of any shape.

    Returns:
        Tensor of the same shape and dtype.
    """
    check_rank("x", x, "(...)")
    if keras.backend.backend() == "torch" or _on_litert.is_writing():
        return ops.gelu(x, approximate=False)
    # In half precision 1 + erf(x) would keep no digits of a small result.
    dtype = keras.backend.result_type(x.dtype, "float32")
    wide = ops.cast(x, dtype)
    wide = wide * (0.5 + 0.5 * ops.erf(wide * 0.5**0.5))
    return ops.cast(wide, x.dtype)
