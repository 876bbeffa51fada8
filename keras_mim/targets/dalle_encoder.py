import math

import keras

from keras_mim._checks import check
from keras_mim._checks import check_counts
from keras_mim._checks import is_int

# What pixels in [0, 1] are mapped to is [0.1, 0.9], as in `map_pixels`.
MARGIN = 0.1
NUM_GROUPS = 4
# Groups after the first begin by halving height and width.
STRIDE = 2 ** (NUM_GROUPS - 1)


@keras.saving.register_keras_serializable(package="keras_mim")
class DalleEncoder(keras.Model):
    """DALL-E's image tokenizer: pixels to logits of visual tokens.

    The encoder of the discrete variational autoencoder whose tokens BEiT
    predicts: a residual network whose logits have one eighth of the image's
    height and width. Give it to a `TokenTarget`; `converters.load_dalle` fills
    it with the published weights, without which its tokens mean nothing.

    Reference: [Ramesh et al., 2021](https://arxiv.org/abs/2102.12092), the
    `Encoder` of openai/DALL-E; the defaults are the published ones. Its
    `map_pixels`, which squeezes pixels into [0.1, 0.9], is part of the model.

    Args:
        hidden_dim: int. Channels of the first group of blocks, divisible by 4;
            each of the three others doubles them. Defaults to `256`.
        num_blocks: int. Number of blocks in each of the four groups.
            Defaults to `2`.
        num_tokens: int. Size of the vocabulary. Defaults to `8192`.
        image_shape: tuple of int and `None`. `(height, width, channels)`;
            height and width divisible by 8, or `None` for any.
            Defaults to `(None, None, 3)`.
        dtype: Policy of all layers but the last, which stays in float32.
            Defaults to `"float32"`, whatever the global policy: close logits
            change places in half precision.

    Input shape: `(batch_size, height, width, channels)`, pixels in [0, 1].

    Output shape: `(batch_size, height // 8, width // 8, num_tokens)`.

    Example:

    >>> tokenizer = keras_mim.targets.DalleEncoder()
    >>> tokenizer(np.zeros((1, 112, 112, 3))).shape
    (1, 14, 14, 8192)
    """

    def __init__(
        self,
        hidden_dim=256,
        num_blocks=2,
        num_tokens=8192,
        image_shape=(None, None, 3),
        dtype="float32",
        name="dalle_encoder",
        **kwargs,
    ):
        check_counts(
            hidden_dim=hidden_dim, num_blocks=num_blocks, num_tokens=num_tokens
        )
        check(hidden_dim % 4 == 0, "hidden_dim", hidden_dim, "a multiple of 4")
        right = isinstance(image_shape, (tuple, list)) and len(image_shape) == 3
        check(
            right
            and all(is_int(n) and n > 0 or n is None for n in image_shape)
            and not any((n or 0) % STRIDE for n in image_shape[:2])
            and image_shape[2] is not None,
            "image_shape",
            image_shape,
            "(height, width, channels), height and width divisible by "
            f"{STRIDE} or None",
        )
        image_shape = tuple(image_shape)
        policy = keras.dtype_policies.get(dtype)
        images = keras.Input(image_shape, name="images")
        x = keras.layers.Rescaling(1 - 2 * MARGIN, MARGIN, dtype="float32")(
            images
        )
        x = convolution(hidden_dim, 7, "input", policy)(x)
        gain = 1 / (NUM_GROUPS * num_blocks) ** 2
        for group in range(NUM_GROUPS):
            if group:
                x = keras.layers.MaxPooling2D(
                    2, data_format="channels_last", dtype=policy
                )(x)
            for block in range(num_blocks):
                x = residual_block(
                    x,
                    hidden_dim * 2**group,
                    gain,
                    f"group_{group + 1}_block_{block + 1}",
                    policy,
                )
        x = keras.layers.ReLU(dtype=policy)(x)
        logits = convolution(num_tokens, 1, "output", "float32")(x)
        super().__init__(images, logits, name=name, **kwargs)

        self.dtype_policy = policy
        self.hidden_dim = hidden_dim
        self.num_blocks = num_blocks
        self.num_tokens = num_tokens
        self.image_shape = image_shape

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "hidden_dim": self.hidden_dim,
            "num_blocks": self.num_blocks,
            "num_tokens": self.num_tokens,
            "image_shape": self.image_shape,
        }


def residual_block(x, hidden_dim, gain, name, policy):
    """Adds to its input a bottleneck of four convolutions, scaled by `gain`."""
    residual = x
    for i, (width, kernel_size) in enumerate(
        [(hidden_dim // 4, 3)] * 3 + [(hidden_dim, 1)], 1
    ):
        residual = keras.layers.ReLU(dtype=policy)(residual)
        residual = convolution(width, kernel_size, f"{name}_conv_{i}", policy)(
            residual
        )
    if x.shape[-1] != hidden_dim:
        x = convolution(hidden_dim, 1, f"{name}_identity", policy)(x)
    residual = keras.layers.Rescaling(gain, dtype=policy)(residual)
    return keras.layers.Add(dtype=policy)([x, residual])


def convolution(width, kernel_size, name, policy):
    """Makes a convolution that keeps height and width."""
    return keras.layers.Conv2D(
        width,
        kernel_size,
        padding="same",
        data_format="channels_last",
        kernel_initializer=normal_kernel,
        dtype=policy,
        name=name,
    )


@keras.saving.register_keras_serializable(package="keras_mim")
def normal_kernel(shape, dtype=None):
    """Draws a kernel of variance 1 / fan_in, as openai/DALL-E's `Conv2d` does.

    Flat: JAX takes half a minute to compile some draws of four axes on a CPU.
    """
    stddev = 1 / math.sqrt(math.prod(shape[:-1]))
    kernel = keras.random.normal((math.prod(shape),), 0.0, stddev, dtype)
    return keras.ops.reshape(kernel, shape)
