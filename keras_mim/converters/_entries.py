import dataclasses
import typing

import numpy as np


class Form(typing.NamedTuple):
    """How an array in PyTorch's layout and one in Keras's become each other."""

    to_keras: typing.Callable
    to_checkpoint: typing.Callable


SAME = Form(lambda x: x, lambda x: x)
DENSE = Form(np.transpose, np.transpose)


def patch_kernel(patch_size):
    """Convolution `(dim, channels, p, p)` and a kernel over flat patches."""
    p = patch_size
    return Form(
        lambda x: x.transpose(2, 3, 1, 0).reshape(-1, x.shape[0]),
        lambda x: x.reshape(p, p, -1, x.shape[1]).transpose(3, 2, 0, 1),
    )


def shuffled_kernel(patch_size, side):
    """1x1 convolution before a pixel shuffle, `(channels * s * s, dim, 1, 1)`.

    With `s = side * patch_size`. Its outputs come as (channel, row, column),
    ours by patch, and in a patch as (row, column, channel).
    """
    n, p = side, patch_size
    return Form(
        lambda x: (
            x.reshape(-1, n, p, n, p, x.shape[1])
            .transpose(5, 1, 3, 2, 4, 0)
            .reshape(x.shape[1], -1)
        ),
        lambda x: (
            x.reshape(x.shape[0], n, n, p, p, -1)
            .transpose(5, 1, 3, 2, 4, 0)
            .reshape(-1, x.shape[0], 1, 1)
        ),
    )


def shuffled_bias(patch_size, side):
    """The bias of the same."""
    n, p = side, patch_size
    return Form(
        lambda x: x.reshape(-1, n, p, n, p).transpose(1, 3, 2, 4, 0).ravel(),
        lambda x: x.reshape(n, n, p, p, -1).transpose(4, 0, 2, 1, 3).ravel(),
    )


@dataclasses.dataclass(frozen=True)
class Entry:
    """One array of a checkpoint, and the variable that it fills.

    Attributes:
        variable: Keras variable.
        form: `Form`. How the array is laid out.
        part: int or `None`. Which third of the variable's last axis the array
            fills: checkpoints may have three arrays for our fused one.
        kind: str or `None`. What the array may be resized as. Position tables:
            `"sine_cosine"`, `"learned"` or `"relative"`; `"window"`, if `grid`
            is a window of Swin's. `"patches"`: a patch kernel.
        grid: tuple of int or `None`. For position tables: `(height, width)` of
            the model in patches.
    """

    variable: typing.Any
    form: Form = SAME
    part: int | None = None
    kind: str | None = None
    grid: tuple | None = None

    @property
    def shape(self):
        """Shape of the array in the checkpoint."""
        nothing = np.broadcast_to(np.float32(0), self.variable.shape)
        return self.to_checkpoint(nothing).shape

    @property
    def where(self):
        """The slice of the variable's last axis that the array fills."""
        if self.part is None:
            return slice(None)
        third = self.variable.shape[-1] // 3
        return slice(self.part * third, (self.part + 1) * third)

    def to_keras(self, array):
        return self.form.to_keras(array)

    def to_checkpoint(self, value):
        return self.form.to_checkpoint(value[..., self.where])


def dense(name, layer):
    """Returns the entries of a dense layer."""
    return {
        f"{name}.weight": Entry(layer.kernel, DENSE),
        f"{name}.bias": Entry(layer.bias),
    }


def norm(name, layer):
    """Returns the entries of a layer norm."""
    return {
        f"{name}.weight": Entry(layer.gamma),
        f"{name}.bias": Entry(layer.beta),
    }


def patches(name, layer):
    """Returns the entries of a patch embedding."""
    form = patch_kernel(layer.patch_size)
    return {
        f"{name}.weight": Entry(layer.projection.kernel, form, kind="patches"),
        f"{name}.bias": Entry(layer.projection.bias),
    }


def without_key_bias(name, attention):
    """Returns the entries of a fused projection with no bias for keys."""
    return {
        f"{name}.qkv.weight": Entry(attention.query_key_value.kernel, DENSE),
        f"{name}.q_bias": Entry(attention.query_bias),
        f"{name}.v_bias": Entry(attention.value_bias),
    }
