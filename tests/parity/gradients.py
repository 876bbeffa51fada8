import keras
import numpy as np


def gradients(model, inputs):
    """Returns a model's loss and the gradient of every trainable weight.

    Args:
        model: `keras_mim.MaskedImageModel`.
        inputs: dict of NumPy arrays.

    Returns:
        Tuple of a float and a dict of NumPy arrays by variable path.
    """
    loss, found = globals()[f"_{keras.backend.backend()}"](model, inputs)
    paths = [v.path for v in model.trainable_variables]
    arrays = [np.array(keras.ops.convert_to_numpy(g)) for g in found]
    return float(loss), dict(zip(paths, arrays, strict=True))


def _tensorflow(model, inputs):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        output = model(inputs, training=True)
        loss = model.compute_loss(y_pred=output)
    variables = [v.value for v in model.trainable_variables]
    return loss, tape.gradient(loss, variables)


def _jax(model, inputs):
    import jax

    def loss_of(trainable):
        output, _ = model.stateless_call(
            trainable, non_trainable, inputs, training=True
        )
        return model.compute_loss(y_pred=output)

    trainable = [v.value for v in model.trainable_variables]
    non_trainable = [v.value for v in model.non_trainable_variables]
    # Compiled as a whole: op by op takes a minute.
    return jax.jit(jax.value_and_grad(loss_of))(trainable)


def _torch(model, inputs):
    model.zero_grad()
    loss = model.compute_loss(y_pred=model(inputs, training=True))
    loss.backward()
    return loss.detach(), [
        v.value.grad.detach() for v in model.trainable_variables
    ]
