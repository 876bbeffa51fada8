"""Trains a tiny model for twenty steps: what the tests run in processes.

    python training_run.py <task>:<layout>...

Prints one line of JSON with the loss of every step of every run, and on JAX
the bytes of every variable, all and on one device. Where it is one of several
processes, the environment says so, as each engine has it.
"""

import json
import os
import sys
import tempfile

import keras
import numpy as np

import keras_mim
from keras_mim.distribution import layout_map
from keras_mim.distribution import start

STEPS, BATCH_SIZE = 20, 16


def make_model(task):
    keras.utils.set_random_seed(0)
    if task == "simmim":
        encoder = keras_mim.encoders.Swin((32, 32, 3), 4, 32, [1, 1], [2, 4], 4)
        masking = keras_mim.masking.RandomMasking(0.5, 8, seed=0)
        model = keras_mim.SimMIM(encoder, masking)
    else:
        encoder = keras_mim.encoders.ViT((32, 32, 3), 8, 64, 2, 4, 256)
        masking = keras_mim.masking.RandomMasking(0.75, seed=0)
        if task == "grid":
            masking = keras_mim.masking.GridMasking()
        head = keras_mim.layers.MAEHead(32, 1, 2)
        model = keras_mim.MAE(encoder, masking, head)
    model.compile(keras.optimizers.AdamW(1e-3, 0.05, epsilon=1e-8))
    return model


def make_batches(task):
    rng = np.random.default_rng(0)
    batches = []
    for _ in range(STEPS):
        images = rng.normal(size=(BATCH_SIZE, 32, 32, 3)).astype("float32")
        if task == "mae":
            masked = np.argsort(rng.random((BATCH_SIZE, 16))) >= 4
            batches.append({"images": images, "masked": masked})
        else:
            batches.append(images)
    return batches


def distribution_of(layout):
    """Returns JAX's distribution, `None` for one device."""
    from keras import distribution

    if layout == "single":
        return None
    if layout == "data":
        return distribution.DataParallel(auto_shard_dataset=False)
    count = distribution.get_device_count()
    shape = {"sharded": (count,), "1x8": (1, 8), "2x4": (2, 4)}[layout]
    mesh = distribution.DeviceMesh(shape, ["batch", "model"][: len(shape)])
    return distribution.ModelParallel(
        layout_map=layout_map(mesh, mesh.axis_names[-1]),
        batch_dim_name="batch",
        auto_shard_dataset=False,
    )


def train_on_jax(task, layout):
    import jax

    keras.distribution.set_distribution(distribution_of(layout))
    model = make_model(task)
    # In several processes, each hands in its part of the batch.
    index, count = jax.process_index(), jax.process_count()
    size = BATCH_SIZE // count
    rows = slice(index * size, (index + 1) * size)
    losses = fit(model, make_batches(task), lambda x: x[rows], size)
    everything = [*model.weights, *model.optimizer.variables]
    return {
        "losses": losses,
        "bytes": {
            v.path: [v.value.nbytes, v.value.addressable_shards[0].data.nbytes]
            for v in everything
        },
    }


def fit(model, batches, part, batch_size):
    losses = []
    for batch in batches:
        batch = keras.tree.map_structure(part, batch)
        # One step: the epoch's loss is the step's, with nothing averaged.
        history = model.fit(
            batch, batch_size=batch_size, shuffle=False, verbose=0
        )
        losses += history.history["loss"]
    return losses


def train_on_tensorflow(task, layout):
    import contextlib

    import tensorflow as tf

    scope = contextlib.nullcontext()
    if layout == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        devices = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, devices)
        scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
    elif "TF_CONFIG" in os.environ:
        scope = tf.distribute.MultiWorkerMirroredStrategy().scope()
    with scope:
        model = make_model(task)
    # Keras and the strategy share the batch out.
    return {"losses": fit(model, make_batches(task), lambda x: x, BATCH_SIZE)}


def train_on_torch(task, layout):
    if layout == "single":
        model = make_model(task)
        batches = make_batches(task)
        return {"losses": fit(model, batches, lambda x: x, BATCH_SIZE)}
    placement = start("data")
    model = make_model(task)
    size = placement.batch_size(BATCH_SIZE)
    rows = slice(placement.index * size, (placement.index + 1) * size)
    losses = []
    for batch in make_batches(task):
        batch = keras.tree.map_structure(lambda x: x[rows], batch)
        history = placement.fit(model, [batch])
        losses += history.history["loss"]
    # Masks are drawn of these, and nothing is learned from now on.
    model.optimizer.learning_rate = 0.0
    images = [batch["images"]]
    validation = placement.fit(model, images, images, epochs=2)
    with tempfile.TemporaryDirectory() as folder:
        placement.finish(model, f"{folder}/model.keras")
    return {"losses": losses, "validation": validation.history["val_loss"]}


if __name__ == "__main__":
    backend = keras.backend.backend()
    if "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ:
        keras.distribution.initialize()
    results = {}
    for run in sys.argv[1:]:
        keras.utils.clear_session()
        results[run] = globals()[f"train_on_{backend}"](*run.split(":"))
    print("RESULT", json.dumps(results))
