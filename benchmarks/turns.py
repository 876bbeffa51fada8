"""Two programs that take turns, so that a drifting machine treats them alike.

A benchmark starts itself once per side (`--worker=<side>`); each worker says
"ready", runs some steps whenever it is told to, and says how long they took.
Between the turns NumPy multiplies two large matrices: what the machine can do.

The first step of a turn is not timed. Memory that a program frees goes back to
the system, and while others have their turn from a virtual machine to its host;
to get it again took JAX two seconds of a step of 3.4. In training no one waits.
"""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np
from alone import ENVIRONMENT
from alone import peak_bytes


def serve(run_steps, steps, backend="torch"):
    """Worker of any program: runs steps when told to."""
    run_steps(1)
    run_steps(2)
    print("ready", flush=True)
    for line in sys.stdin:
        if line == "peak\n":
            print(peak_bytes(backend), flush=True)
            continue
        run_steps(1)
        start = time.perf_counter()
        run_steps(steps)
        print(time.perf_counter() - start, flush=True)


def finish(backend):
    """Waits until the device has done what it was given."""
    if backend == "jax":
        import jax

        # A device runs its programs one after the other.
        jax.block_until_ready(jax.numpy.zeros(()) + 1)
    elif backend == "torch":
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
    else:
        import tensorflow as tf

        tf.test.experimental.sync_devices()


def serve_fit(model, images, turns, steps):
    """Worker of a Keras model: one long `fit`, an epoch per turn.

    One `fit`, so that the state stays on the device as in training. The first
    two epochs compile and warm up.
    """
    import keras

    backend = keras.backend.backend()

    class Turns(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                print("ready", flush=True)
            if epoch >= 2 and not sys.stdin.readline():
                self.model.stop_training = True

        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                finish(backend)
                self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            finish(backend)
            if epoch >= 2:
                print(time.perf_counter() - self.start, flush=True)

    if backend == "jax":
        # On the device, as torch's workers have them.
        import jax

        images = jax.device_put(images)

    def batches():
        while True:
            yield (images,)

    data = batches()
    if backend == "tensorflow":
        # Of a known batch size, as `ImagePipeline` gives them to training:
        # TensorFlow takes half as long again for an unknown one.
        import tensorflow as tf

        data = tf.data.Dataset.from_tensors((images,)).repeat()
    model.fit(
        data,
        epochs=turns + 2,
        steps_per_epoch=1 + steps,
        callbacks=[Turns()],
        verbose=0,
    )
    if sys.stdin.readline():
        print(peak_bytes(backend), flush=True)


def start(worker):
    """Starts this benchmark again, as one of its workers."""
    arguments = [a for a in sys.argv[1:] if not a.startswith("--output")]
    process = subprocess.Popen(
        [sys.executable, sys.argv[0], f"--worker={worker}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**ENVIRONMENT, **os.environ},
    )
    while (line := process.stdout.readline()).strip() != "ready":
        if not line:
            raise SystemExit(f"{worker} did not start: run --worker={worker}")
    return process


def matmul_rate(size=2048):
    """GFLOP per second of one square float32 product in NumPy."""
    x = np.random.rand(size, size).astype("float32")
    begin = time.perf_counter()
    x @ x
    return 2 * size**3 / (time.perf_counter() - begin) / 1e9


def take_turns(workers, turns, steps, peaks=None):
    """Runs workers in turns.

    Args:
        workers: tuple of str. Names for `--worker`.
        turns: int. Turns of each.
        steps: int. Steps per turn.
        peaks: dict or None. Where to put the peak bytes of each.

    Returns:
        A dict of lists: seconds per step, by worker; and a float, the median
        rate of the matrix product.
    """
    processes = {name: start(name) for name in workers}

    def tell(process, what):
        process.stdin.write(what + "\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    seconds = {name: [] for name in workers}
    rates = []
    for _ in range(turns):
        rates.append(matmul_rate())
        for name, process in processes.items():
            seconds[name].append(tell(process, "go") / steps)
    for name, process in processes.items():
        if peaks is not None:
            peaks[name] = int(tell(process, "peak"))
        process.kill()
    return seconds, round(statistics.median(rates), 1)


def gpus():
    """Returns the names of NVIDIA's GPUs."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.check_output(query, text=True).splitlines()


def describe(flags, packages):
    """Returns where, when and with what a benchmark ran, for its JSON."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    return {
        "flags": {
            flag.name: flag.value
            for flag in flags.get_key_flags_for_module(sys.argv[0])
            if flag.name not in ("output", "worker")
        },
        "backend": backend,
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "gpus": gpus(),
        "machine": platform.machine(),
        "versions": {
            name: importlib.metadata.version(name)
            for name in dict.fromkeys(("keras", backend, *packages))
        },
    }


def earlier(path, key):
    """Returns what a result that was written before has under a key."""
    path = pathlib.Path(path or "")
    return json.loads(path.read_text())[key] if path.is_file() else {}


def write(path, result):
    pathlib.Path(path).write_text(json.dumps(result, indent=2) + "\n")
