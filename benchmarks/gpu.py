"""What one GPU makes of pre-training, against `torch.compile`.

    python benchmarks/gpu.py --output=benchmarks/results/gpu/h200.json

Three training steps in bfloat16: MAE of ViT-B (batch 256) and of ViT-L (128),
SimMIM of Swin-B (128, 192 pixels). Each on JAX, on torch with `jit_compile`,
and by timm's blocks under `torch.compile`; a large matrix product shows what
the card can do. The sides of a model start at the same time and take turns.

Before that, small models train on both backends, and are compared with what a
CPU computed (`results/gpu/cpu_values.json`, which `--write_cpu_values` writes).

Needs JAX and torch for the GPU, timm and keras. Two minutes a model on an H200,
most of them to compile, and one for the small models.
Prints a table last: images and TFLOP per second, the share of the matrix
product's rate, peak of memory, the ratio over timm (median over the turns), and
for each side which kinds of kernels take how long.
"""

import collections
import concurrent.futures
import itertools
import json
import os
import pathlib
import statistics
import sys

from absl import app
from absl import flags

from harness import sides
from harness import trial
from harness.kernels import kind_of
from harness.processes import answer
from harness.processes import ask
from harness.results import describe
from harness.results import write
from harness.turns import median_ratio
from harness.turns import take_turns

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "models",
    ["mae_vit_base:256", "mae_vit_large:128", "simmim_swin_base:128"],
    "What, and how many images a step.",
)
flags.DEFINE_list(
    "sides", ["jax", "torch", "timm"], "Who; timm is compared to."
)
flags.DEFINE_integer("turns", 6, "Turns of each side.")
flags.DEFINE_integer("steps", 12, "Steps per turn.")
flags.DEFINE_enum("precision", "bfloat16", ["float32", "bfloat16"], "Of all.")
flags.DEFINE_integer("kernels", 8, "How many kernels of a side to name.")
flags.DEFINE_boolean("check", True, "Whether to compare with the CPU's values.")
flags.DEFINE_boolean("write_cpu_values", False, "Write the CPU's values.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_string("worker", None, "Internal: run one side.")
flags.DEFINE_string("trial", None, "Internal: train a small model.")

CPU_VALUES = pathlib.Path(__file__).parent / "results/gpu/cpu_values.json"
TRIALS = ("mae:float32", "mae:bfloat16", "simmim:float32", "simmim:bfloat16")
# By how much a GPU may differ: its products of float32 matrices keep ten bits
# of a number (TF32), and bfloat16 keeps eight.
LIMITS = {"float32": 5e-3, "bfloat16": 5e-2}
BACKENDS = ("jax", "torch")


def run_worker(name):
    side, model, batch_size = name.split(":")
    if side == "product":
        return sides.multiply(FLAGS.precision, FLAGS.steps)
    of_all = (model, int(batch_size), FLAGS.precision, FLAGS.steps)
    if side in BACKENDS:
        return sides.train_ours(*of_all, True)
    sides.train_peer(side, *of_all, torch_compile=True)


def check():
    """Compares small models with the CPU's values.

    Returns:
        dict of float: the largest differences, by backend and trial.
    """
    expected = json.loads(CPU_VALUES.read_text())
    found = {}

    def train(pair):
        return ask(f"--trial={pair[1]}", KERAS_BACKEND=pair[0])

    pairs = list(itertools.product(BACKENDS, TRIALS))
    # They are small, and start slowly.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        values_of_all = list(pool.map(train, pairs))
    for (backend, name), values in zip(pairs, values_of_all, strict=True):
        for key, numbers in values.items():
            row = f"{backend}, {name}, {key}"
            found[row] = trial.difference(numbers, expected[name][key])
            print(f"{row}: {found[row]:.1e} from the CPU's", flush=True)
    return found


def compare(model, batch_size):
    """Returns what a table's rows say of each side of one model."""
    names = {s: f"{s}:{model}:{batch_size}" for s in (*FLAGS.sides, "product")}
    peaks, kernels = {}, {}
    seconds, _ = take_turns(
        tuple(names.values()),
        FLAGS.turns,
        FLAGS.steps,
        peaks,
        {names[s]: {"KERAS_BACKEND": s} for s in BACKENDS if s in names},
        kernels,
    )
    rate = sides.multiply_rate(seconds[names["product"]])
    flop = sides.step_flops(model, batch_size)
    rows = []
    for side in FLAGS.sides:
        name = names[side]
        step = statistics.median(seconds[name])
        kinds = collections.Counter()
        for kernel, milliseconds, _ in kernels[name]:
            kinds[kind_of(kernel)] += milliseconds
        row = {
            "model": model,
            "batch_size": batch_size,
            "side": side,
            "images_per_second": round(batch_size / step),
            "tflop_per_second": round(flop / step / 1e12),
            "matmul_tflop_per_second": round(rate / 1e3),
            "share_of_matmul": round(flop / step / 1e9 / rate, 3),
            "peak_memory_gib": round(peaks[name] / 2**30, 1),
            "milliseconds": round(1e3 * step, 2),
            "milliseconds_of_kernels": {
                kind: round(total, 1) for kind, total in kinds.most_common()
            },
            "kernels": kernels[name][: FLAGS.kernels],
            "seconds": [round(s, 5) for s in seconds[name]],
        }
        if "timm" in names:
            ratio = median_ratio(seconds[names["timm"]], seconds[name])
            row["over_timm"] = round(ratio, 3)
        rows.append(row)
        print(row, flush=True)
    return rows


def show(rows):
    columns = {
        "model": "model",
        "side": "side",
        "images_per_second": "images/s",
        "tflop_per_second": "TFLOP/s",
        "share_of_matmul": "of the matrix product",
        "peak_memory_gib": "GiB",
        "over_timm": "over timm",
        "milliseconds": "ms a step",
        "milliseconds_of_kernels": "ms of kernels",
    }
    print(f"| {' | '.join(columns.values())} |")
    print("|---" * len(columns) + "|")
    for row in rows:
        kinds = row["milliseconds_of_kernels"].items()
        kinds = ", ".join(f"{kind} {total}" for kind, total in kinds)
        cells = {**row, "milliseconds_of_kernels": kinds}
        print(f"| {' | '.join(str(cells.get(c, '')) for c in columns)} |")


def main(_):
    if FLAGS.worker:
        return run_worker(FLAGS.worker)
    if FLAGS.trial:
        return answer(trial.run(*FLAGS.trial.split(":")))
    if FLAGS.write_cpu_values:
        values = {
            name: ask(f"--trial={name}", CUDA_VISIBLE_DEVICES="")
            for name in TRIALS
        }
        return write(CPU_VALUES, values)
    # What `describe` names besides torch and timm.
    os.environ["KERAS_BACKEND"] = "jax"
    result = {
        "question": "pre-training steps on one GPU, against torch.compile",
        **describe(FLAGS, ("torch", "timm")),
        "differences": check() if FLAGS.check else {},
        "rows": [],
    }
    wrong = [
        f"{row}: {difference:.1e} from the CPU's values"
        for row, difference in result["differences"].items()
        if difference > LIMITS[row.split(", ")[1].split(":")[1]]
    ]
    for model in FLAGS.models:
        name, batch_size = model.split(":")
        try:
            result["rows"] += compare(name, int(batch_size))
        except SystemExit as error:
            # The other models are measured all the same.
            wrong.append(f"{model}: {error}")
        write(FLAGS.output, result)
    show(result["rows"])
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    app.run(main)
