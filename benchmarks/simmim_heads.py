"""What does a heavier head than SimMIM's linear layer cost per step?

    KERAS_BACKEND=tensorflow python benchmarks/simmim_heads.py

Swin-B, 192 pixels, window 6, AdamW: whole training steps of SimMIM with the
linear head and with the inverse Swin-B that mirrors the encoder, in two
processes that take turns; medians over the turns. The paper gives the linear
head's step as 2.3 times as fast. Prints seconds per step, and last the ratio.
"""

import statistics

import numpy as np
from absl import app
from absl import flags

from harness.results import describe
from harness.results import write
from harness.turns import median_ratio
from harness.turns import serve_fit
from harness.turns import take_turns

FLAGS = flags.FLAGS
flags.DEFINE_integer("batch_size", 8, "Images per step.")
flags.DEFINE_integer("turns", 8, "Turns of each head.")
flags.DEFINE_integer("steps", 1, "Steps per turn.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_enum("worker", None, ["linear", "inverse"], "Internal.")


def run_worker():
    import keras

    import keras_mim

    shape = (192, 192, 3)
    encoder = keras_mim.encoders.Swin.from_size("base", shape, window_size=6)
    head = keras_mim.layers.SimMIMHead()
    if FLAGS.worker == "inverse":
        head = keras_mim.layers.InverseSwinHead.from_size("base", window_size=6)
    model = keras_mim.SimMIM(encoder, head=head)
    model.compile(keras.optimizers.AdamW(1e-4, weight_decay=0.05))
    images = np.random.rand(FLAGS.batch_size, *shape).astype("float32")
    serve_fit(model, images, FLAGS.steps)


def main(_):
    if FLAGS.worker:
        return run_worker()
    heads = ("linear", "inverse")
    seconds, rate = take_turns(heads, FLAGS.turns, FLAGS.steps)
    result = {
        "question": "cost of an inverse Swin-B head against a linear one",
        **describe(FLAGS, ()),
        "matmul_gflop_per_second": rate,
        "seconds": {k: [round(s, 4) for s in v] for k, v in seconds.items()},
    }
    for head in heads:
        print(f"{head}: {statistics.median(seconds[head]):.2f} s per step")
    ratio = median_ratio(seconds["inverse"], seconds["linear"])
    result["ratio"] = round(ratio, 3)
    write(FLAGS.output, result)
    print(f"ratio (inverse Swin-B / linear): {result['ratio']:.2f}")


if __name__ == "__main__":
    app.run(main)
