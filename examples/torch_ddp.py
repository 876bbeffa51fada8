"""Training with torch's DistributedDataParallel, which `fit` does not know.

A loop of one's own, as Keras's guide has it, in which the model, its loss, its
optimizer and callbacks stay Keras's.
"""

import keras
import torch
from torch import distributed

from keras_mim.ops import replica_number


class Loss(torch.nn.Module):
    """What DistributedDataParallel runs: from images to the loss.

    Gradients are averaged over processes only where it runs the model itself.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        prediction = self.model(images, training=True)
        return self.model.compute_loss(images, None, prediction)


def fit(model, train, validation, epochs, initial_epoch, callbacks):
    """Trains a compiled, built model as `model.fit` does.

    Args:
        model: `keras_mim.MaskedImageModel`.
        train: batches of this process, as many in each.
        validation: likewise, or `None`.
        epochs: int. The epoch to end with.
        initial_epoch: int. The epoch to start with, from 0.
        callbacks: list of `keras.callbacks.Callback`.

    Returns: `keras.callbacks.History`.
    """
    chief = replica_number() == 0
    model.optimizer.build(model.trainable_variables)
    callbacks = keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        add_progbar=chief,
        verbose=1,
        epochs=epochs,
        steps=len(train),
        model=model,
    )
    model.stop_training = False
    callbacks.on_train_begin()
    # After a backup is restored: it shares the first process's weights out.
    step = torch.nn.parallel.DistributedDataParallel(Loss(model))
    logs = {}
    for epoch in range(initial_epoch, epochs):
        callbacks.on_epoch_begin(epoch)
        losses = []
        for number, batch in enumerate(train):
            callbacks.on_train_batch_begin(number)
            losses.append(_train(model, step, _tensors(batch)))
            callbacks.on_train_batch_end(number, {"loss": float(losses[-1])})
        logs = {"loss": _mean(losses)}
        if validation is not None:
            losses = [_judge(model, _tensors(batch)) for batch in validation]
            logs["val_loss"] = _mean(losses)
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    callbacks.on_train_end(logs)
    return model.history


def _tensors(batch):
    return keras.tree.map_structure(keras.ops.convert_to_tensor, batch)


def _train(model, step, images):
    model.zero_grad()
    loss = step(images)
    loss.backward()
    weights = model.trainable_weights
    with torch.no_grad():
        model.optimizer.apply([w.value.grad for w in weights], weights)
    return loss.detach()


def _judge(model, images):
    with torch.no_grad():
        prediction = model(images, training=False)
        return model.compute_loss(images, None, prediction, training=False)


def _mean(losses):
    """Returns the mean over steps, and over all processes."""
    mean = torch.stack(losses).mean()
    distributed.all_reduce(mean)
    return float(mean) / distributed.get_world_size()
