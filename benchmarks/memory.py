"""How much memory does training take, and which batch fits?

    KERAS_BACKEND=jax python benchmarks/memory.py --limit_gib=80 \\
        --models=mae_vit_base,mae_vit_large --batch_sizes=64,128    # a GPU
    KERAS_BACKEND=tensorflow python benchmarks/memory.py \\
        --models=mae_vit_small,mae_vit_base --batch_sizes=4,12       # a CPU

Whole training steps with AdamW (models as in train_step.py), with `remat` off
and on. The peak at two batch sizes, each in a process of its own, gives a
line: its slope is what an image takes, its start what any batch does. Measured
(memory of the device, or of the whole process on a CPU); and on JAX also ahead
of time, as XLA lays the compiled step's memory out, with nothing run. What is
predicted to fit in --limit_gib follows from the last of them; on an accelerator
19 of 20 of that batch are tried. With --output, models that the file has
already stay, unless run again.

Both batches must be so large that the peak is in the backward pass, and not in
the update: then it grows along the line.

XLA merges values that `remat` computes twice on a CPU: nothing is saved there.
On a CPU it also keeps much of bfloat16 in float32.
"""

import itertools
import json

import numpy as np
from absl import app
from absl import flags

from harness.device import peak_bytes
from harness.processes import answer
from harness.processes import ask
from harness.results import describe
from harness.results import read_earlier
from harness.results import write
from harness.workloads import MODELS
from harness.workloads import compiled

FLAGS = flags.FLAGS
flags.DEFINE_list("models", ["mae_vit_small", "mae_vit_base"], "Which.")
flags.DEFINE_list("precisions", ["float32"], "Of float32, bfloat16.")
flags.DEFINE_list("remat", ["off", "on"], "Of off, on.")
flags.DEFINE_list("batch_sizes", ["4", "12"], "Two, for the slope.")
flags.DEFINE_list("ways", ["run", "ahead"], "Which peaks; ahead: JAX only.")
flags.DEFINE_float("limit_gib", 16, "Memory that a batch is to fit in, GiB.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_string("peak", None, "Internal: way,model,precision,remat,batch.")


def peak():
    """Tells the peak bytes of a step."""
    way, name, precision, remat, batch_size = FLAGS.peak.split(",")
    workload = MODELS[name]
    model = compiled(workload, precision, remat=remat == "on")
    shape = (int(batch_size), workload.side, workload.side, 3)
    peak_of = run if way == "run" else look_ahead
    answer(peak_of(model, shape))


def run(model, shape):
    import keras

    images = np.random.rand(*shape).astype("float32")
    # A second step: what the first leaves behind, the next has beside it.
    model.fit(images, batch_size=len(images), epochs=2, verbose=0)
    return peak_bytes(keras.backend.backend())


def look_ahead(model, shape):
    import jax

    model.optimizer.build(model.trainable_variables)
    state = [
        [variable.value for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    ]
    images = jax.ShapeDtypeStruct(shape, "float32")
    step = jax.jit(model.train_step, donate_argnums=0)
    memory = step.lower(state, (images,)).compile().memory_analysis()
    return (
        memory.argument_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
    )


def line(question):
    """Returns the bytes of any batch, and of an image, from two batches."""
    sizes = [int(size) for size in FLAGS.batch_sizes]
    peaks = [ask(f"--peak={question},{size}") for size in sizes]
    slope = (peaks[1] - peaks[0]) / (sizes[1] - sizes[0])
    return {
        "peak_gib": dict(zip(sizes, [round(p / 2**30, 3) for p in peaks])),
        "mib_per_image": round(slope / 2**20, 2),
        "gib_of_any_batch": round((peaks[0] - sizes[0] * slope) / 2**30, 3),
    }


def main(_):
    if FLAGS.peak:
        return peak()
    result = {
        "question": "memory of a training step",
        **describe(FLAGS, ()),
        "found": read_earlier(FLAGS.output, "found"),
    }
    ways = FLAGS.ways if result["backend"] == "jax" else ["run"]
    for case in itertools.product(FLAGS.models, FLAGS.precisions, FLAGS.remat):
        row = {way: line(f"{way},{','.join(case)}") for way in ways}
        last = row[ways[-1]]
        room = FLAGS.limit_gib - last["gib_of_any_batch"]
        fits = int(1024 * room / last["mib_per_image"])
        row["predicted_batch"] = fits
        if result["gpus"]:
            tried = max(fits * 19 // 20, 1)
            try:
                found = ask(f"--peak=run,{','.join(case)},{tried}")
                row["tried"] = {tried: round(found / 2**30, 3)}
            except SystemExit as error:
                row["tried"] = {tried: str(error)[-400:]}
        result["found"][", ".join(case)] = row
        print(", ".join(case), json.dumps(row), flush=True)
        write(FLAGS.output, result)


if __name__ == "__main__":
    app.run(main)
