"""What does MAE save by not encoding hidden patches? Table 2 of the paper.

    KERAS_BACKEND=jax python benchmarks/table2.py --sizes=large,huge \\
        --batch_size=64 --precision=bfloat16                      # a GPU
    python benchmarks/table2.py --sizes=base,large --batch_size=8   # a CPU

224 pixels, 75 % masked, AdamW: whole training steps of MAE on random images,
with an encoder that sees mask tokens and 8 decoder blocks (SimMIM with MAE's
head), and without, with 8 blocks and with 1. Each in a process of its own; the
first takes turns with each of the others, so that no more than two are in
memory; medians over the turns. The paper's wall-clock ratios, over the first:
ViT-L 2.8 and 3.7, ViT-H 3.5 and 4.1; 3.3 in FLOPs for ViT-L. (What AdamW does
is the same for any batch: small ones hide what is saved.)

Prints per model: FLOPs of a step's matrix products, counted from the shapes
(backward is twice forward), and those of the forward pass as XLA counts them,
if JAX is installed; images per second; and how often as fast as the first it
is. The peak of memory, too: of the device, or of the whole process on a CPU.
"""

import dataclasses
import importlib.util
import statistics

import numpy as np
from absl import app
from absl import flags

from harness.device import peak_bytes
from harness.flops import count_by_xla
from harness.processes import answer
from harness.processes import ask
from harness.results import describe
from harness.results import write
from harness.turns import median_ratio
from harness.turns import serve_fit
from harness.turns import take_turns
from harness.workloads import MODELS
from harness.workloads import compiled

FLAGS = flags.FLAGS
flags.DEFINE_list("sizes", ["base", "large"], "Of tiny, small, base, ...")
flags.DEFINE_integer("batch_size", 4, "Images per step.")
flags.DEFINE_integer("turns", 5, "Turns of each model.")
flags.DEFINE_integer("steps", 1, "Steps per turn.")
flags.DEFINE_enum("precision", "float32", ["float32", "bfloat16"], "Of all.")
flags.DEFINE_boolean("jit_compile", None, "XLA; None: Keras's choice.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_string("worker", None, "Internal: size,case to run in turns.")
flags.DEFINE_string("measure", None, "Internal: size,case to look at.")
flags.DEFINE_string("compile", None, "Internal: size,case to compile.")

# Name -> whether the encoder sees mask tokens, blocks of the decoder.
CASES = {
    "w/ [M], 8 blocks": (True, 8),
    "w/o, 8 blocks": (False, 8),
    "w/o, 1 block": (False, 1),
}


def workload_of(name):
    """Returns the workload of `size,case`."""
    size, case = name.split(",", 1)
    mask_tokens, num_layers = CASES[case]
    return dataclasses.replace(
        MODELS[f"mae_vit_{size}"],
        side=224,
        # The papers' exception from 16.
        patch_size=14 if size == "huge" else 16,
        decoder=(512, num_layers, 16),
        mask_tokens=mask_tokens,
    )


def make(name):
    """Returns the compiled model of `size,case`, and a batch for it."""
    workload = workload_of(name)
    shape = (FLAGS.batch_size, workload.side, workload.side, 3)
    images = np.random.rand(*shape).astype("float32")
    return compiled(workload, FLAGS.precision, FLAGS.jit_compile), images


def compile_forward():
    """Answers with the FLOPs of the forward pass for an image, by XLA."""
    model, images = make(FLAGS.compile)
    count = count_by_xla(model, images.shape[1:])
    answer({"gflop_of_compiled_forward": round(count / 1e9, 2)})


def measure():
    """Answers with what does not depend on the other load of the machine."""
    import keras

    model, images = make(FLAGS.measure)
    model.fit(images, batch_size=FLAGS.batch_size, verbose=0)
    peak = peak_bytes(keras.backend.backend())
    # Backward is twice forward.
    flop = 3 * workload_of(FLAGS.measure).forward_flops()
    answer(
        {
            "gflop_per_image": round(flop / 1e9, 2),
            "peak_memory_gib": round(peak / 2**30, 2),
        }
    )


def compare(size):
    """Returns what is found of a size, by name, and the machine's rate."""
    names = [f"{size},{case}" for case in CASES]
    found = {name: ask(f"--measure={name}") for name in names}
    if importlib.util.find_spec("jax"):
        for name in names:
            found[name] |= ask(f"--compile={name}", KERAS_BACKEND="jax")
    first, *others = names
    rates, seconds_of_first = [], []
    for name in others:
        seconds, rate = take_turns((first, name), FLAGS.turns, FLAGS.steps)
        ratio = median_ratio(seconds[first], seconds[name])
        found[name]["speed_up"] = round(ratio, 2)
        found[name]["seconds"] = seconds[name]
        seconds_of_first += seconds[first]
        rates.append(rate)
    found[first] |= {"speed_up": 1.0, "seconds": seconds_of_first}
    for row in found.values():
        step = statistics.median(row["seconds"])
        ratio = found[first]["gflop_per_image"] / row["gflop_per_image"]
        row["images_per_second"] = round(FLAGS.batch_size / step, 2)
        row["flop_ratio"] = round(ratio, 2)
        row["seconds"] = [round(s, 4) for s in row["seconds"]]
    return found, statistics.mean(rates)


def main(_):
    if FLAGS.worker:
        return serve_fit(*make(FLAGS.worker), FLAGS.steps)
    if FLAGS.measure:
        return measure()
    if FLAGS.compile:
        return compile_forward()
    result = {
        "question": "MAE's table 2: what leaving hidden patches out saves",
        **describe(FLAGS, ()),
        "matmul_gflop_per_second": {},
        "models": {},
    }
    for size in FLAGS.sizes:
        found, rate = compare(size)
        result["models"] |= found
        result["matmul_gflop_per_second"][size] = round(rate, 1)
        for name, row in found.items():
            print(name, {k: v for k, v in row.items() if k != "seconds"})
        write(FLAGS.output, result)


if __name__ == "__main__":
    app.run(main)
