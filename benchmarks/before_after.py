"""Is a change to keras_mim faster or slower than what was there before?

    git worktree add ../before <commit>
    KERAS_BACKEND=jax python benchmarks/before_after.py --before=../before \\
        --model=mae_vit_tiny --batch_size=128

Trains the same model (see `train_step.py`) with the library of this checkout
and with that of another, each in a process of its own; they take turns. Prints
the seconds of a step of each, and the median of the ratios of the pairs.
"""

import pathlib
import statistics

from absl import app
from absl import flags

from harness.results import describe
from harness.results import write
from harness.sides import train_ours
from harness.turns import median_ratio
from harness.turns import take_turns
from harness.workloads import MODELS

FLAGS = flags.FLAGS
flags.DEFINE_string("before", None, "Folder of the other checkout.")
flags.DEFINE_enum("model", "mae_vit_base", sorted(MODELS), "What.")
flags.DEFINE_integer("batch_size", 16, "Images per step.")
flags.DEFINE_integer("turns", 12, "Turns of each side.")
flags.DEFINE_integer("steps", 2, "Steps per turn.")
flags.DEFINE_enum("precision", "float32", ["float32", "bfloat16"], "Of both.")
flags.DEFINE_boolean("jit_compile", None, "XLA; None: Keras's choice.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_string("worker", None, "Internal: run one side.")
flags.mark_flag_as_required("before")

HERE = pathlib.Path(__file__).resolve().parents[1]


def run_worker(folder):
    import keras_mim

    found = pathlib.Path(keras_mim.__file__).resolve().parents[1]
    if found != pathlib.Path(folder).resolve():
        raise SystemExit(f"keras_mim came from {found} instead of {folder}.")
    train_ours(
        FLAGS.model,
        FLAGS.batch_size,
        FLAGS.precision,
        FLAGS.steps,
        FLAGS.jit_compile,
    )


def main(_):
    if FLAGS.worker:
        return run_worker(FLAGS.worker)
    before, after = str(pathlib.Path(FLAGS.before).resolve()), str(HERE)
    seconds, rate = take_turns(
        (before, after),
        FLAGS.turns,
        FLAGS.steps,
        environments={f: {"PYTHONPATH": f} for f in (before, after)},
    )
    ratio = median_ratio(seconds[before], seconds[after])
    for label, folder in (("before", before), ("after", after)):
        print(f"{label}: {statistics.median(seconds[folder]):.4f} s a step")
    result = {
        "question": f"a step of {FLAGS.model}, before and after a change",
        **describe(FLAGS, ()),
        "matmul_gflop_per_second": rate,
        "before": [round(s, 4) for s in seconds[before]],
        "after": [round(s, 4) for s in seconds[after]],
        "ratio": round(ratio, 3),
    }
    write(FLAGS.output, result)
    print(f"ratio (before / after, median of {FLAGS.turns} pairs): {ratio:.3f}")


if __name__ == "__main__":
    app.run(main)
