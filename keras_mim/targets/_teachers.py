"""What targets that come from another model have in common."""

from keras import ops

# Added to variances, as in the encoders' layer norms.
EPSILON = 1e-6


def freeze(model):
    """Makes no weight of a model trainable, however it was loaded.

    One that was saved frozen is loaded with layers that are not; and TensorFlow
    does nothing where an attribute is set to what it is already.
    """
    model.trainable = True
    model.trainable = False


def standardize(tokens):
    """Gives each token the mean 0 and the variance 1."""
    tokens = tokens - ops.mean(tokens, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(tokens), axis=-1, keepdims=True)
    return tokens / ops.sqrt(variance + EPSILON)
