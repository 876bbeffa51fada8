"""How does the cost of a training step grow? With image size, mask and batch.

    KERAS_BACKEND=tensorflow python benchmarks/scaling.py \\
        --output=benchmarks/results/scaling/points.json \\
        --plot=benchmarks/results/scaling/curves.png

MAE, ViT-S/16 with a decoder that two cores can bear, 4 blocks 128 wide: whole
training steps with AdamW on random images, one thing varied at a time. Every
point is a process of its own; those of a series take turns; medians over the
turns. "none": the encoder sees hidden patches too, as mask tokens (SimMIM with
MAE's decoder), 75 % of them.

Prints per point: seconds of a step; the peak of memory, of the device or of the
whole process on a CPU; FLOPs of the forward pass for an image, counted from the
shapes, and as XLA counts them in the compiled program, if JAX is installed.
With --output, series that the file has already stay, unless run again.
"""

import dataclasses
import importlib.util
import statistics

import numpy as np
from absl import app
from absl import flags

from harness.flops import count_by_xla
from harness.processes import answer
from harness.processes import ask
from harness.results import describe
from harness.results import read_earlier
from harness.results import write
from harness.turns import serve_fit
from harness.turns import take_turns
from harness.workloads import MAE
from harness.workloads import compiled

# What a series varies: (image size, mask ratio, batch size) of its points.
SERIES = {
    "image size": [(side, 0.75, 8) for side in (96, 160, 224, 320, 448)],
    "mask ratio": [(224, ratio, 8) for ratio in ("none", 0.25, 0.5, 0.75, 0.9)],
    "batch size": [(224, 0.75, batch) for batch in (1, 4, 8, 16, 32)],
}
VARIED = {"image size": 0, "mask ratio": 1, "batch size": 2}

FLAGS = flags.FLAGS
flags.DEFINE_list("series", list(SERIES), "Which to run; '': none, only draw.")
flags.DEFINE_integer("turns", 5, "Turns of each point.")
flags.DEFINE_integer("steps", 1, "Steps per turn.")
flags.DEFINE_enum("precision", "float32", ["float32", "bfloat16"], "Of all.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_string("plot", None, "PNG file to draw --output in.")
flags.DEFINE_string("worker", None, "Internal: run a point.")
flags.DEFINE_string("count", None, "Internal: let XLA count a series.")


def name_of(point):
    return ",".join(map(str, point))


def workload_of(name):
    """Returns the model of a point, and its batch size."""
    side, ratio, batch_size = name.split(",")
    model = MAE(384, 12, 6, int(side), decoder=(128, 4, 4))
    if ratio == "none":
        return dataclasses.replace(model, mask_tokens=True), int(batch_size)
    model = dataclasses.replace(model, mask_ratio=float(ratio))
    return model, int(batch_size)


def work():
    workload, batch_size = workload_of(FLAGS.worker)
    shape = (batch_size, workload.side, workload.side, 3)
    images = np.random.rand(*shape).astype("float32")
    model = compiled(workload, FLAGS.precision)
    serve_fit(model, images, FLAGS.steps)


def count():
    found = {}
    for point in SERIES[FLAGS.count]:
        workload, _ = workload_of(name_of(point))
        shape = (workload.side, workload.side, 3)
        found[name_of(point)] = count_by_xla(workload.build(), shape)
    answer(found)


def run(series):
    """Returns what is found of the points of a series."""
    names, peaks, by_xla = list(map(name_of, SERIES[series])), {}, {}
    if importlib.util.find_spec("jax") and series != "batch size":
        by_xla = ask(f"--count={series}", KERAS_BACKEND="jax")
    seconds, rate = take_turns(names, FLAGS.turns, FLAGS.steps, peaks)
    rows = []
    for name in names:
        workload, batch_size = workload_of(name)
        rows.append(
            {
                series: SERIES[series][names.index(name)][VARIED[series]],
                "seconds_per_step": round(statistics.median(seconds[name]), 4),
                "seconds": [round(s, 4) for s in seconds[name]],
                "peak_memory_gib": round(peaks[name] / 2**30, 2),
                "gflop_of_step": round(
                    3e-9 * batch_size * workload.forward_flops(), 1
                ),
                "gflop_forward": round(1e-9 * workload.forward_flops(), 2),
            }
        )
        if name in by_xla:
            rows[-1]["gflop_forward_xla"] = round(1e-9 * by_xla[name], 2)
    return {"matmul_gflop_per_second": rate, "points": rows}


def draw(result):
    """Draws seconds, FLOPs and memory, a column for each series."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        3, len(SERIES), figsize=(11, 8), sharey="row", layout="constrained"
    )
    for column, (series, found) in zip(axes.T, result["series"].items()):
        rows = found["points"]
        x = [row[series] for row in rows]
        if series == "mask ratio":  # "none" is no number.
            x = [str(value) for value in x]

        def plot(axis, key, label, style="o-", of=lambda value: value):
            axis.plot(x, [of(row[key]) for row in rows], style, label=label)

        seconds, flop, memory = column
        plot(seconds, "seconds_per_step", "measured")
        # What the step would take at the rate of the series' fastest point.
        best = min(r["seconds_per_step"] / r["gflop_of_step"] for r in rows)
        plot(
            seconds,
            "gflop_of_step",
            "FLOPs at the best point's rate",
            "--",
            lambda value: value * best,
        )
        plot(flop, "gflop_forward", "counted from the shapes", "--")
        if "gflop_forward_xla" in rows[0]:
            plot(flop, "gflop_forward_xla", "XLA's count", "o")
        plot(memory, "peak_memory_gib", "measured")
        memory.set_xlabel(series)
        column[0].set_title(f"by {series}")
        for axis in column:
            axis.set_ylim(bottom=0)
            axis.grid(alpha=0.3)
    for axis, label in zip(
        axes[:, 0],
        (
            "seconds per step",
            "GFLOP per image, forward",
            "peak memory, GiB",
        ),
    ):
        axis.set_ylabel(label)
        axis.legend(frameon=False)
    figure.savefig(FLAGS.plot, dpi=110)


def main(_):
    if FLAGS.worker:
        return work()
    if FLAGS.count:
        return count()
    all_series = read_earlier(FLAGS.output, "series")
    result = {
        "question": "how the cost of a training step grows",
        **describe(FLAGS, ()),
    }
    for series in FLAGS.series:
        all_series[series] = found = run(series)
        for row in found["points"]:
            print({k: v for k, v in row.items() if k != "seconds"}, flush=True)
        print(f"matrix product: {found['matmul_gflop_per_second']} GFLOP/s")
    result["series"] = {k: all_series[k] for k in SERIES if k in all_series}
    if FLAGS.output and FLAGS.series:
        write(FLAGS.output, result)
    if FLAGS.plot:
        draw(result)


if __name__ == "__main__":
    app.run(main)
