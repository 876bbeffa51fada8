"""Prints two draws of masks and of dropped paths, by replica."""

import json

import keras
import numpy as np

from keras_mim.layers import DropPath
from keras_mim.masking import RandomMasking


def draw():
    images = keras.ops.zeros((4, 32, 32, 3))
    masks = [masking(images) for _ in range(2)]
    kept = drop_path(keras.ops.ones((64, 1, 1)), training=True)
    return [keras.ops.cast(x, "int32") for x in (*masks, kept)]


def make_layers():
    masking = RandomMasking(0.5, patch_size=8, seed=0)
    masking.build((None, 32, 32, 3))
    return masking, DropPath(0.5, seed=0)


if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, devices)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        masking, drop_path = make_layers()
    runs = [strategy.run(tf.function(draw)) for _ in range(2)]
    drawn = [
        [strategy.experimental_local_results(x)[replica] for x in run]
        for run in runs
        for replica in range(2)
    ]
else:
    import torch

    torch.distributed.init_process_group("gloo")
    masking, drop_path = make_layers()
    drawn = [draw() for _ in range(2)]
    torch.distributed.destroy_process_group()
# What one device draws.
masking, _ = make_layers()
drawn.append([masking(np.zeros((4, 32, 32, 3)))])
drawn = keras.tree.map_structure(
    lambda x: keras.ops.convert_to_numpy(x).astype(int).ravel().tolist(), drawn
)
print("RESULT", json.dumps(drawn))
