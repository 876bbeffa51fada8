"""How fast is one MAE training step, against transformers' on torch?

    KERAS_BACKEND=tensorflow python benchmarks/train_step.py

ViT-B/16, 224 pixels, 75 % masked, normalised pixels, AdamW: the whole step,
forward, backward and update, on random images. Ours and the peer run in two
processes that take turns, so that a machine whose speed drifts treats them
alike; medians over the turns. Needs torch and transformers beside the backend.

Prints images and GFLOP per second of both, the rate of a large float32 matrix
product in NumPy between the turns (what the machine can do at best), and last
the ratio. FLOPs are those of the matrix products, counted from the shapes: the
same for both.
"""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import numpy as np
from absl import app
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("batch_size", 16, "Images per step.")
flags.DEFINE_integer("turns", 12, "Turns of each side.")
flags.DEFINE_integer("steps", 2, "Steps per turn.")
flags.DEFINE_enum("precision", "float32", ["float32", "bfloat16"], "Of both.")
flags.DEFINE_boolean("jit_compile", None, "XLA for ours; None: Keras's choice.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_enum("worker", None, ["ours", "peer"], "Internal: run one side.")

IMAGE_SIZE, PATCH_SIZE = 224, 16


def count_flops(batch_size):
    """FLOPs of a step's matrix products; backward is twice forward."""
    num_patches = (IMAGE_SIZE // PATCH_SIZE) ** 2
    patch_dim = 3 * PATCH_SIZE**2

    def blocks(num_layers, tokens, dim):
        dense = 12 * dim**2 * tokens
        attention = 2 * tokens**2 * dim
        return num_layers * 2 * (dense + attention)

    visible = num_patches // 4 + 1
    forward = (
        2 * num_patches * patch_dim * 768
        + blocks(12, visible, 768)
        + 2 * visible * 768 * 512
        + blocks(8, num_patches + 1, 512)
        + 2 * num_patches * 512 * patch_dim
    )
    return 3 * forward * batch_size


def turns(run_steps):
    """Runs steps when told to, and says how long they took."""
    run_steps(1)
    run_steps(2)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run_steps(FLAGS.steps)
        print(time.perf_counter() - start, flush=True)


def ours():
    import keras

    import keras_mim

    if FLAGS.precision != "float32":
        keras.config.set_dtype_policy(f"mixed_{FLAGS.precision}")
    shape = (IMAGE_SIZE, IMAGE_SIZE, 3)
    encoder = keras_mim.encoders.ViT.from_size("base", shape, PATCH_SIZE)
    model = keras_mim.MAE(encoder)
    jit_compile = "auto" if FLAGS.jit_compile is None else FLAGS.jit_compile
    model.compile(
        keras.optimizers.AdamW(1e-4, weight_decay=0.05, beta_2=0.95),
        jit_compile=jit_compile,
    )
    images = np.random.rand(FLAGS.batch_size, *shape).astype("float32")

    class Turns(keras.callbacks.Callback):
        # One long fit, so that the state stays on the device as in training.
        # The first two epochs compile and warm up.
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                print("ready", flush=True)
            if epoch >= 2 and not sys.stdin.readline():
                self.model.stop_training = True
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            if epoch >= 2:
                print(time.perf_counter() - self.start, flush=True)

    def batches():
        while True:
            yield (images,)

    model.fit(
        batches(),
        epochs=FLAGS.turns + 2,
        steps_per_epoch=FLAGS.steps,
        callbacks=[Turns()],
        verbose=0,
    )


def peer():
    import contextlib

    import torch
    import transformers

    config = transformers.ViTMAEConfig(norm_pix_loss=True)
    model = transformers.ViTMAEForPreTraining(config).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), 1e-4, (0.9, 0.95), weight_decay=0.05
    )
    images = torch.rand(FLAGS.batch_size, 3, IMAGE_SIZE, IMAGE_SIZE)

    def run_steps(number):
        for _ in range(number):
            cast = contextlib.nullcontext()
            if FLAGS.precision != "float32":
                cast = torch.autocast("cpu", torch.bfloat16)
            with cast:
                loss = model(pixel_values=images).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    turns(run_steps)


def start(worker):
    arguments = [a for a in sys.argv[1:] if not a.startswith("--output")]
    process = subprocess.Popen(
        [sys.executable, __file__, f"--worker={worker}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    while (line := process.stdout.readline()).strip() != "ready":
        if not line:
            raise SystemExit(f"{worker} did not start: run --worker={worker}")
    return process


def take_turn(process):
    process.stdin.write("go\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def matmul_rate(size=2048):
    """GFLOP per second of one square float32 product in NumPy."""
    x = np.random.rand(size, size).astype("float32")
    start = time.perf_counter()
    x @ x
    return 2 * size**3 / (time.perf_counter() - start) / 1e9


def main(_):
    if FLAGS.worker:
        return {"ours": ours, "peer": peer}[FLAGS.worker]()
    workers = {name: start(name) for name in ("ours", "peer")}
    seconds = {name: [] for name in workers}
    rates = []
    for _ in range(FLAGS.turns):
        rates.append(matmul_rate())
        for name, process in workers.items():
            seconds[name].append(take_turn(process) / FLAGS.steps)
    for process in workers.values():
        process.kill()
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    flops = count_flops(FLAGS.batch_size)
    result = {
        "question": "one MAE ViT-B/16 training step, 224 px",
        "flags": {
            flag.name: flag.value
            for flag in FLAGS.get_key_flags_for_module(sys.argv[0])
            if flag.name not in ("output", "worker")
        },
        "backend": backend,
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("keras", backend, "torch", "transformers")
        },
        "gflop_per_step": round(flops / 1e9),
        "matmul_gflop_per_second": round(statistics.median(rates), 1),
    }
    for name, label in (
        ("ours", f"keras_mim, {backend}"),
        ("peer", "transformers, torch"),
    ):
        step = statistics.median(seconds[name])
        result[name] = {
            "images_per_second": round(FLAGS.batch_size / step, 2),
            "gflop_per_second": round(flops / step / 1e9, 1),
            "seconds": [round(s, 4) for s in seconds[name]],
        }
        print(
            f"{label}: {result[name]['images_per_second']} images/s, "
            f"{result[name]['gflop_per_second']} GFLOP/s"
        )
    print(f"matrix product: {result['matmul_gflop_per_second']} GFLOP/s")
    ratios = [p / o for o, p in zip(seconds["ours"], seconds["peer"])]
    result["ratio"] = round(statistics.median(ratios), 3)
    if FLAGS.output:
        text = json.dumps(result, indent=2)
        pathlib.Path(FLAGS.output).write_text(text + "\n")
    print(
        f"ratio (ours / peer, median of {FLAGS.turns} pairs): "
        f"{result['ratio']:.2f}"
    )


if __name__ == "__main__":
    app.run(main)
