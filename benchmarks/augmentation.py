"""Is Keras's augmentation or keras-cv's faster?

    python benchmarks/augmentation.py

What fine-tuning takes from one or the other, in tf.data with two batches of 64
at a time: images per second, the median of --turns turns, in which the layers
alternate. The ratio is keras-cv's over Keras's.
"""

import statistics
import time

import keras
import keras_cv
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_list("sizes", ["32", "224"], "Sides of the images, pixels.")
flags.DEFINE_integer("turns", 5, "Number of turns.")

BATCH_SIZE = 64
# The name, Keras's, keras-cv's; with the strengths of FineTuneAugmentation.
LAYERS = (
    (
        "RandAugment",
        lambda: keras.layers.RandAugment((0, 255), 2, 0.4),
        lambda: keras_cv.layers.RandAugment((0, 255), 2, 0.4, 0.02, rate=0.5),
    ),
    (
        "MixUp",
        lambda: keras.layers.MixUp(0.8),
        lambda: keras_cv.layers.MixUp(0.8),
    ),
    (
        "CutMix",
        lambda: keras.layers.CutMix((1.0, 1.0)),
        lambda: keras_cv.layers.CutMix(1.0),
    ),
)


def batches(layer, size):
    """Returns batches that are augmented, a second or more of them."""
    pixels = np.random.default_rng(0).uniform(
        0, 255, (BATCH_SIZE, size, size, 3)
    )
    labels = np.eye(10, dtype="float32")[np.arange(BATCH_SIZE) % 10]
    batch = {"images": pixels.astype("float32"), "labels": labels}
    options = tf.data.Options()
    # As in keras_mim's pipelines.
    options.autotune.enabled = False
    number = max(4, 60 * 32**2 // size**2)
    dataset = tf.data.Dataset.from_tensors(batch).repeat(number)
    dataset = dataset.map(
        lambda batch: layer(batch, training=True), num_parallel_calls=2
    )
    return dataset.prefetch(2).with_options(options)


def images_per_second(dataset):
    start = time.perf_counter()
    for _ in dataset:
        pass
    return BATCH_SIZE * len(dataset) / (time.perf_counter() - start)


def main(_):
    print("| | side | Keras | keras-cv | ratio |")
    print("|---|---|---|---|---|")
    for size in map(int, FLAGS.sizes):
        for name, *makers in LAYERS:
            pair = [batches(make(), size) for make in makers]
            for dataset in pair:
                images_per_second(dataset)
            turns = [
                [images_per_second(dataset) for dataset in pair]
                for _ in range(FLAGS.turns)
            ]
            keras_rate, cv_rate = map(statistics.median, zip(*turns))
            print(
                f"| {name} | {size} | {keras_rate:.0f} | {cv_rate:.0f} | "
                f"{cv_rate / keras_rate:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
