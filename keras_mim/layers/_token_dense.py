import math

import keras
import numpy as np
from keras import ops

# Beside weights with LoRA in a file: alpha over rank.
SCALE = "lora_scale"


@keras.saving.register_keras_serializable(package="keras_mim")
class TokenDense(keras.layers.Dense):
    """A dense layer that multiplies a matrix, whatever the rank of its input.

    The gradient of a product of three dimensions is much slower on JAX, and
    takes the same time elsewhere. The arguments and the result are those of
    `keras.layers.Dense`.
    """

    def call(self, inputs, training=None):
        *leading, width = inputs.shape
        x = super().call(ops.reshape(inputs, (-1, width)), training=training)
        # Only the first dimension, the batch, may be unknown.
        return ops.reshape(x, (-1, *leading[1:], self.units))

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras refuses subclasses, which may compute something else.
        super().quantize(mode, type_check=False, config=config)

    def save_own_variables(self, store):
        # Keras would merge LoRA into the kernel. What is loaded then could not
        # learn on: both factors are zeros, and so are their gradients.
        if not self.lora_enabled:
            return super().save_own_variables(store)
        for weight in self.weights:
            store[weight.name] = weight
        store[SCALE] = np.float32(self.lora_alpha / self.lora_rank)

    def load_own_variables(self, store):
        if SCALE not in store.keys():
            return super().load_own_variables(store)
        values = {name: np.array(store[name]) for name in store.keys()}
        scale = values.pop(SCALE)
        if not self.lora_enabled and "kernel_scale" not in values:
            # As Keras's files are, which have it merged.
            first, second = (values.pop(f"lora_kernel_{x}") for x in "ab")
            values["kernel"] = values["kernel"] + scale * (first @ second)
        names = [weight.name for weight in self.weights]
        if sorted(values) != sorted(names):
            raise ValueError(
                f"`{self.path}` must be loaded from a layer with the weights "
                f"{names}. Received: {list(values)}"
            )
        for weight in self.weights:
            weight.assign(values[weight.name])


def make_dense(
    layer, input_dim, units, name, kernel_initializer="glorot_uniform", **kwargs
):
    """Returns a built `TokenDense` with the dtype policy of the layer it is in.

    Args:
        layer: Keras layer of which the result becomes a part.
        input_dim: int. Width of its input.
        units: int. Width of its output.
        name: str. Its name.
        kernel_initializer: Keras initializer. Instances are copied: one would
            draw the same values for two kernels.
        **kwargs: Further arguments of `keras.layers.Dense`.

    Returns:
        `TokenDense`.
    """
    if isinstance(kernel_initializer, keras.initializers.Initializer):
        kernel_initializer = kernel_initializer.clone()
    dense = TokenDense(
        int(units),  # Keras takes none of NumPy's.
        kernel_initializer=kernel_initializer,
        dtype=layer.dtype_policy,
        name=name,
        **kwargs,
    )
    dense.build((None, input_dim))
    return dense


def torch_default(input_dim):
    """Returns the initializer of PyTorch's linear layers and convolutions.

    Uniform within `1 / sqrt(fan_in)`, for kernel and bias alike.

    Args:
        input_dim: int. The fan-in.

    Returns:
        Keras initializer.
    """
    bound = 1 / math.sqrt(input_dim)
    return keras.initializers.RandomUniform(-bound, bound)
