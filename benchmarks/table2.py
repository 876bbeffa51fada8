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

import importlib.util
import statistics

import flops
import numpy as np
from absl import app
from absl import flags
from alone import ask
from alone import peak_bytes
from alone import tell
from alone import xla_forward_flops
from turns import describe
from turns import serve_fit
from turns import take_turns
from turns import write

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
DECODER_DIM = 512
# The papers' exception from 16.
PATCH_SIZES = {"huge": 14}
SIDE = 224


def make_model(name):
    import keras

    import keras_mim

    size, case = name.split(",", 1)
    mask_tokens, num_layers = CASES[case]
    if FLAGS.precision != "float32":
        keras.config.set_dtype_policy(f"mixed_{FLAGS.precision}")
    encoder = keras_mim.encoders.ViT.from_size(
        size, (SIDE, SIDE, 3), PATCH_SIZES.get(size, 16)
    )
    method = keras_mim.SimMIM if mask_tokens else keras_mim.MAE
    model = method(
        encoder,
        keras_mim.masking.RandomMasking(0.75),
        keras_mim.layers.MAEHead(DECODER_DIM, num_layers, 16),
        keras_mim.targets.PixelTarget(normalize=True),
    )
    model.compile(
        keras.optimizers.AdamW(1e-4, weight_decay=0.05, beta_2=0.95),
        loss="mse",
        jit_compile="auto" if FLAGS.jit_compile is None else FLAGS.jit_compile,
    )
    return model


def random_images(batch_size):
    return np.random.rand(batch_size, SIDE, SIDE, 3).astype("float32")


def count_flops(model):
    """FLOPs of a step's matrix products, for one image."""
    encoder, head = model.encoder, model.head
    seen = encoder.num_patches + 1
    if head.restore_tokens is not None:
        seen -= model.masking.num_masked(encoder.grid)
    return 3 * flops.mae(
        encoder.num_patches,
        3 * encoder.patch_size**2,
        (encoder.hidden_dim, encoder.num_layers),
        (head.hidden_dim, head.num_layers),
        seen,
    )


def compile_forward():
    """Tells the FLOPs of the forward pass for an image, as XLA counts them."""
    count = xla_forward_flops(make_model(FLAGS.compile), (SIDE, SIDE, 3))
    tell({"gflop_of_compiled_forward": round(count / 1e9, 2)})


def measure():
    """Tells what of a model does not depend on the machine's mood."""
    import keras

    model = make_model(FLAGS.measure)
    images = random_images(FLAGS.batch_size)
    model.fit(images, batch_size=FLAGS.batch_size, verbose=0)
    peak = peak_bytes(keras.backend.backend())
    tell(
        {
            "gflop_per_image": round(count_flops(model) / 1e9, 2),
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
        ratios = [a / b for a, b in zip(seconds[first], seconds[name])]
        found[name]["speed_up"] = round(statistics.median(ratios), 2)
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
        model = make_model(FLAGS.worker)
        images = random_images(FLAGS.batch_size)
        return serve_fit(model, images, FLAGS.turns, FLAGS.steps)
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
        if FLAGS.output:
            write(FLAGS.output, result)


if __name__ == "__main__":
    app.run(main)
