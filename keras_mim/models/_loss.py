"""The one policy of the loss.

Which loss: the one that `compile` gets; else the target's, where it asks for
one; else the method's. Over which patches: the hidden ones, or all.
"""

from keras import ops

from keras_mim.models._trainers import num_replicas


def loss_arguments(model, y_pred, sample_weight):
    """Returns target, prediction and weights as a stock Keras loss takes them.

    Args:
        model: `MaskedImageModel`.
        y_pred: dict. What the model returns.
        sample_weight: Tensor of shape `(batch_size,)` or `None`.

    Returns:
        tuple of three tensors.
    """
    # Divided by its mean, so that Keras's mean over all patches becomes
    # MAE's mean over the hidden ones.
    weight = ops.cast(y_pred["masked"], "float32")
    if model.loss_on_all_patches:
        weight = ops.ones_like(weight)
    weight = weight / ops.mean(weight)
    if sample_weight is not None:
        sample_weight = ops.cast(sample_weight, "float32")
        weight = weight * ops.reshape(sample_weight, (-1, 1))
    prediction, weight = model.target.for_loss(y_pred["prediction"], weight)
    return y_pred["target"], prediction, weight


def default_loss(model, arguments):
    """Returns the loss of a model that was compiled without one.

    Args:
        model: `MaskedImageModel`.
        arguments: What `loss_arguments` returns.

    Returns:
        Scalar tensor, with what the model's layers want to be minimized.
    """
    loss = (model.target.default_loss or model.default_loss)(*arguments)
    for extra in model.losses:
        # As Keras's losses are, which TensorFlow adds up over replicas.
        loss = loss + ops.cast(ops.sum(extra), loss.dtype) / num_replicas(model)
    return loss
