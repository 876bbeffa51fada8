import math
import os

import keras

from keras_mim.distribution.placement import Placement
from keras_mim.random import seed_states


class TorchPlacement(Placement):
    """Distributes by `DistributedDataParallel`, which `fit` does not know.

    A loop of one's own, as Keras's guide has it, in which the model, its loss,
    its optimizer and callbacks stay Keras's.
    """

    def __init__(self):
        import torch

        if "RANK" not in os.environ:
            raise ValueError(
                "On torch, processes that torchrun starts are distributed: "
                "torchrun --nproc_per_node=8 script.py. Received: no RANK in "
                "the environment"
            )
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        torch.distributed.init_process_group("nccl" if gpu else "gloo")
        count = torch.distributed.get_world_size()
        super().__init__(torch.distributed.get_rank(), count, count)

    def _fit(
        self, model, batches, validation_data, epochs, initial_epoch, callbacks
    ):
        import torch

        if self.count == 1:
            return super()._fit(
                model,
                batches,
                validation_data,
                epochs=epochs,
                initial_epoch=initial_epoch,
                callbacks=callbacks,
            )
        model.optimizer.build(model.trainable_variables)
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=self.is_chief,
            verbose=1,
            epochs=epochs,
            steps=len(batches),
            model=model,
        )
        model.stop_training = False
        callbacks.on_train_begin()
        # After a backup is restored: both share the first process's out.
        _share_seeds(model)
        parallel = torch.nn.parallel.DistributedDataParallel(
            _loss_module(model)
        )
        logs = {}
        # As Keras does: a restored backup counts more.
        initial_epoch = model._initial_epoch or initial_epoch
        for epoch in range(initial_epoch, epochs):
            callbacks.on_epoch_begin(epoch)
            losses = []
            for number, batch in enumerate(batches):
                callbacks.on_train_batch_begin(number)
                losses.append(_train(model, parallel, batch))
                logs = {"loss": losses[-1]}
                callbacks.on_train_batch_end(number, logs)
            logs = {"loss": _mean(losses)}
            if validation_data is not None:
                # As Keras does: a masked image model begins its masks anew.
                model.make_test_function()
                losses = [_evaluate(model, x) for x in validation_data]
                logs["val_loss"] = _mean(losses)
            callbacks.on_epoch_end(epoch, logs)
            # Where one process alone has seen it, too.
            if model.stop_training or math.isnan(logs["loss"]):
                break
        model.optimizer.finalize_variable_values(model.trainable_variables)
        callbacks.on_train_end(logs)
        return model.history

    def _leave(self):
        import torch

        # Torch asks for it: what gloo's thread still holds when Python has
        # ended aborts a process whose work is done.
        torch.distributed.destroy_process_group()


def _loss_module(model):
    """Returns what DistributedDataParallel runs: from a batch to its loss.

    Gradients are averaged over processes only where it runs the model itself.
    """
    import torch

    class Loss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model
            # NCCL knows no memory but the GPUs'.
            seeds = {id(v.value) for v in seed_states(model)}
            self._ddp_params_and_buffers_to_ignore = [
                name for name, p in self.named_parameters() if id(p) in seeds
            ]

        def forward(self, batch):
            return _loss(self.model, batch, training=True)

    return Loss()


def _share_seeds(model):
    """Gives every process the states of the first one's random streams."""
    import torch

    for state in seed_states(model):
        values = keras.ops.convert_to_tensor(state.numpy())
        torch.distributed.broadcast(values, 0)
        state.assign(values)


def _loss(model, batch, training):
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    prediction = model(x, training=training)
    return model.compute_loss(
        x, y, prediction, sample_weight, training=training
    )


def _tensors(batch):
    return keras.tree.map_structure(keras.ops.convert_to_tensor, batch)


def _train(model, parallel, batch):
    import torch

    model.zero_grad()
    loss = parallel(_tensors(batch))
    loss.backward()
    weights = model.trainable_weights
    with torch.no_grad():
        model.optimizer.apply([w.value.grad for w in weights], weights)
    return loss.detach()


def _evaluate(model, batch):
    import torch

    with torch.no_grad():
        return _loss(model, _tensors(batch), training=False)


def _mean(losses):
    """Returns the mean over steps, and over all processes."""
    import torch

    mean = torch.stack(losses).mean()
    torch.distributed.all_reduce(mean)
    return float(mean) / torch.distributed.get_world_size()
