"""What JAX does on accelerators by calls that Keras does not make."""

import functools

# cuDNN's kernel wants an even number of tokens to train with a bias, JAX's
# newer versions in any case; it is fastest at multiples of 8.
MULTIPLE = 8


def attend_fused(query_key_value, bias=None, implementation="cudnn"):
    """Attention by cuDNN's fused kernel, which keeps no weights.

    Tokens are padded to a multiple of 8 and the heads' width too. Padding is
    silent: no token attends to it, and it is cut off. Without a bias cuDNN is
    told how many tokens there are. With one, padded keys get a bias of minus
    infinity, as far as the dtype goes: cuDNN learns a bias of the whole batch
    only where nothing else hides keys.

    Args:
        query_key_value: As in `keras_mim.ops.attend`.
        bias: As there.
        implementation: str. `jax.nn.dot_product_attention`'s: `"cudnn"`, or
            `"xla"` for the same call on any device. Defaults to `"cudnn"`.

    Returns:
        As `keras_mim.ops.attend`, or `None` where the kernel does not take
        these tokens: float32, a head that is too wide, a GPU before Ampere.
    """
    import jax.numpy as jnp

    dtype = query_key_value.dtype
    if implementation == "cudnn" and (
        dtype not in (jnp.bfloat16, jnp.float16) or not has_kernel()
    ):
        return None
    num_tokens, _, num_heads, head_dim = query_key_value.shape[1:]
    tokens = -num_tokens % MULTIPLE
    width = -head_dim % MULTIPLE
    shape = (num_tokens + tokens, num_heads, head_dim + width)
    if not _takes(implementation, shape, str(dtype), bias is not None):
        return None
    padding = ((0, 0), (0, tokens), (0, 0), (0, 0), (0, width))
    x = jnp.pad(query_key_value, padding)
    if bias is not None:
        bias = jnp.pad(
            bias.astype(dtype),
            ((0, 0), (0, 0), (0, tokens), (0, tokens)),
            constant_values=((0, 0), (0, 0), (0, 0), (0, _lowest(dtype))),
        )
    x = _call(x, bias, head_dim**-0.5, num_tokens, implementation)
    return x[:, :num_tokens, :, :head_dim]


def pick_tokens(tokens, indices):
    """`keras_mim.ops.gather_tokens` as a product with rows of zeros and a one.

    The gradient of a lookup is a scatter, one of the slowest things that a GPU
    does; that of a product is a product. Exact: each sum has one term, in full
    precision.
    """
    import jax.numpy as jnp

    places = jnp.arange(tokens.shape[1], dtype=indices.dtype)
    rows = (indices[:, :, None] == places).astype(tokens.dtype)
    return jnp.einsum("bpt,btd->bpd", rows, tokens, precision="highest")


def normalize(tokens, gamma, beta, epsilon):
    """`keras_mim.ops.normalize_tokens`, in fewer passes over the tokens.

    The variance is the mean of the squares less the square of the mean, so that
    both means come from one pass, and its gradient is shorter.

    Args: those of `keras_mim.ops.normalize_tokens`.
    """
    import jax.numpy as jnp

    x = tokens.astype("float32")
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(x), axis=-1, keepdims=True) - mean**2
    # Rounding can leave it below zero.
    scale = (jnp.maximum(variance, 0) + epsilon) ** -0.5 * gamma
    return (x * scale + (beta - mean * scale)).astype(tokens.dtype)


@functools.cache
def has_kernel():
    """Whether the device is a GPU of NVIDIA's that has the kernel."""
    import jax

    capability = getattr(jax.local_devices()[0], "compute_capability", "0")
    major = str(capability).split(".")[0]
    # AMD's have names there.
    return major.isdigit() and int(major) >= 8


@functools.cache
def _takes(implementation, shape, dtype, has_bias):
    """Whether the kernel takes tokens of this shape, to train on too.

    JAX knows, and its versions differ: the same call is made on shapes alone.

    Args:
        implementation: str.
        shape: tuple of int, `(num_tokens, num_heads, head_dim)`.
        dtype: str.
        has_bias: bool.
    """
    import jax

    num_tokens, num_heads, head_dim = shape
    x = jax.ShapeDtypeStruct((1, num_tokens, 3, num_heads, head_dim), dtype)
    bias = None
    if has_bias:
        bias = (1, num_heads, num_tokens, num_tokens)
        bias = jax.ShapeDtypeStruct(bias, dtype)

    def of_sum(x, bias):
        return _call(x, bias, 1.0, num_tokens - 1, implementation).sum()

    try:
        jax.eval_shape(jax.grad(of_sum), x, bias)
    except (NotImplementedError, RuntimeError, ValueError):
        return False
    return True


def _call(query_key_value, bias, scale, num_tokens, implementation):
    """Calls JAX on padded tokens, of which `num_tokens` are some."""
    import jax
    import jax.numpy as jnp

    batch_size, padded = query_key_value.shape[:2]
    query, key, value = jnp.unstack(query_key_value, axis=2)
    lengths = None
    if bias is None and padded != num_tokens:
        lengths = jnp.full((batch_size,), num_tokens, "int32")
    return jax.nn.dot_product_attention(
        query,
        key,
        value,
        bias,
        scale=scale,
        query_seq_lengths=lengths,
        key_value_seq_lengths=lengths,
        implementation=implementation,
    )


def _lowest(dtype):
    """Returns a bias that silences a key, and does not overflow in a sum."""
    import jax.numpy as jnp

    return float(jnp.finfo(dtype).min) / 2
