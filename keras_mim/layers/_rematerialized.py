import keras


def rematerialized(branch, active):
    """Returns a function that keeps none of its inner values for the gradient.

    They are computed once more where the gradient needs them: less memory for
    more time. The values and the gradients stay the same. (JAX's compiler for
    the CPU merges the two computations again: nothing is saved there.)

    `branch` may take tensors of floats only, by position, and must not draw
    random numbers: TensorFlow and torch would draw others the second time,
    and JAX lets nothing out of the function but its result. So a residual
    branch ends before its drop path. For the same reasons blocks call this
    themselves: a `keras.RematScope` around them fails on TensorFlow and JAX,
    and on torch gives wrong gradients with drop path.

    Args:
        branch: function of tensors that returns a tensor.
        active: bool or `None`. Whether to do so; else `branch` is returned.
    """
    return keras.remat(branch) if active else branch
