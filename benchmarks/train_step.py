"""How fast is one training step, against a peer in PyTorch?

    KERAS_BACKEND=tensorflow python benchmarks/train_step.py
    KERAS_BACKEND=jax python benchmarks/train_step.py --model=simmim_swin_base

    KERAS_BACKEND=jax python benchmarks/train_step.py --model=mae_vit_large \\
        --peer=timm,lightly --precision=bfloat16 --batch_size=256 --steps=10

`mae_vit_*`: MAE, 75 % masked, normalised pixels. Small, base and large as in
the papers, 224 pixels in patches of 16; tiny is what two cores are for: 64
pixels in patches of 8, a decoder of 4 blocks 128 wide. `simmim_swin_base`:
SimMIM's Swin-B, 192 pixels, window 6, 60 % of 32-pixel cells. AdamW: the whole
step, forward, backward and update, on random images.

Peers, one or several: `transformers`; `timm`, MAE or SimMIM put together from
its blocks, with fused attention and `torch.compile`; `lightly`. With bfloat16
they run under autocast, ours under `mixed_bfloat16`. On a GPU, if there is one.
Each side is a process of its own; they take turns; medians over the turns.

Prints images and GFLOP per second of each side, its share of the best rate of a
large matrix product that torch (in the same precision, on the same device) and
NumPy (float32) reach between the turns, and its peak of memory (of the device,
or of the whole process on a CPU); last the ratios. FLOPs are those of the
matrix products, counted from the shapes: the same for all.
"""

import statistics

from absl import app
from absl import flags

from harness import sides
from harness.results import describe
from harness.results import write
from harness.turns import median_ratio
from harness.turns import take_turns
from harness.workloads import MODELS

FLAGS = flags.FLAGS
flags.DEFINE_enum("model", "mae_vit_base", sorted(MODELS), "What.")
flags.DEFINE_list("peer", ["transformers"], "Of transformers, timm, lightly.")
flags.DEFINE_list("torch_compile", ["timm"], "Peers to compile.")
flags.DEFINE_integer("batch_size", 16, "Images per step.")
flags.DEFINE_integer("turns", 12, "Turns of each side.")
flags.DEFINE_integer("steps", 2, "Steps per turn.")
flags.DEFINE_enum("precision", "float32", ["float32", "bfloat16"], "Of all.")
flags.DEFINE_boolean("jit_compile", None, "XLA for ours; None: Keras's choice.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_string("worker", None, "Internal: run one side.")


def run_worker(name):
    if name == "product":
        return sides.multiply(FLAGS.precision, FLAGS.steps)
    of_all = (FLAGS.model, FLAGS.batch_size, FLAGS.precision)
    if name == "ours":
        return sides.train_ours(*of_all, FLAGS.steps, FLAGS.jit_compile)
    sides.train_peer(name, *of_all, FLAGS.steps, name in FLAGS.torch_compile)


def main(_):
    if FLAGS.worker:
        return run_worker(FLAGS.worker)
    names, peaks = ("ours", *FLAGS.peer), {}
    seconds, numpy_rate = take_turns(
        (*names, "product"), FLAGS.turns, FLAGS.steps, peaks
    )
    torch_rate = sides.multiply_rate(seconds["product"])
    rate = max(numpy_rate, torch_rate)
    flop = sides.step_flops(FLAGS.model, FLAGS.batch_size)
    result = {
        "question": f"one training step of {FLAGS.model}",
        **describe(FLAGS, ("torch", *FLAGS.peer)),
        "gflop_per_step": round(flop / 1e9),
        "matmul_gflop_per_second": numpy_rate,
        "torch_matmul_gflop_per_second": round(torch_rate, 1),
    }
    for side in names:
        step = statistics.median(seconds[side])
        result[side] = {
            "images_per_second": round(FLAGS.batch_size / step, 2),
            "gflop_per_second": round(flop / step / 1e9, 1),
            "share_of_matmul": round(flop / step / 1e9 / rate, 3),
            "peak_memory_gib": round(peaks[side] / 2**30, 2),
            "seconds": [round(s, 4) for s in seconds[side]],
        }
        label = f"keras_mim, {result['backend']}" if side == "ours" else side
        shown = {k: v for k, v in result[side].items() if k != "seconds"}
        print(f"{label}: {shown}")
    print(
        f"matrix product: {numpy_rate} GFLOP/s by NumPy, float32; "
        f"{torch_rate:.1f} by torch, {FLAGS.precision}"
    )
    result["ratio"] = {}
    for name in FLAGS.peer:
        ratio = median_ratio(seconds[name], seconds["ours"])
        result["ratio"][name] = round(ratio, 3)
    write(FLAGS.output, result)
    for name, ratio in result["ratio"].items():
        print(
            f"ratio (ours / {name}, median of {FLAGS.turns} pairs): {ratio:.2f}"
        )


if __name__ == "__main__":
    app.run(main)
