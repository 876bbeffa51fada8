"""Programs that take turns, so that a drifting machine treats them alike.

A benchmark starts itself once per side (`--worker=<side>`). Each worker says
"ready", runs some steps at every command, and says how long they took. Between
the turns NumPy multiplies two large matrices, which shows what the machine can
do.

The first step of a turn is not timed. Memory that a program frees goes back to
the system and, on a virtual machine, to its host while others have their turn.
Getting it back took JAX two seconds of a step of 3.4. Training has no such
pauses.
"""

import json
import statistics
import sys
import time

from harness import kernels
from harness.device import matmul_rate
from harness.device import peak_bytes
from harness.device import synchronize
from harness.processes import start_all


def serve(run_steps, steps, backend="torch"):
    """Serves as the worker of any program: obeys one word a line.

    "go" runs the steps and answers how many seconds they took; "kernels" runs
    them once more and answers what a GPU did meanwhile, as
    `harness.kernels.of_steps` tells it; "peak" answers `peak_bytes`.

    Args:
        run_steps: Function of a number of steps, which runs them.
        steps: int. Number of steps of a turn.
        backend: str. What runs them. Defaults to `"torch"`.
    """
    run_steps(1)
    run_steps(2)
    print("ready", flush=True)
    for word in map(str.strip, sys.stdin):
        if word == "peak":
            answer = peak_bytes(backend)
        elif word == "kernels":
            with kernels.of_steps(backend, steps) as answer:
                run_steps(steps)
        else:
            run_steps(1)
            begin = time.perf_counter()
            run_steps(steps)
            answer = time.perf_counter() - begin
        print(json.dumps(answer), flush=True)


def serve_fit(model, images, steps):
    """Serves a Keras model as `serve` does: one long `fit`, an epoch a word.

    In one `fit` the state stays on the device, as in training. The first two
    epochs compile and warm up.

    Args:
        model: Compiled Keras model.
        images: NumPy array of a batch.
        steps: int. Number of steps of a turn.
    """
    import keras

    backend = keras.backend.backend()

    class Turns(keras.callbacks.Callback):
        profile = None

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                print("ready", flush=True)
            if epoch < 2:
                return
            while (word := sys.stdin.readline().strip()) == "peak":
                print(peak_bytes(backend), flush=True)
            if not word:
                self.model.stop_training = True
            self.profile = None
            if word == "kernels":
                # The first step of an epoch is one of them.
                self.profile = kernels.of_steps(backend, 1 + steps)
                self.answer = self.profile.__enter__()

        # At the second batch's begin: whatever is done at the end of a batch
        # has Keras wait for its loss, which keeps an accelerator waiting.
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1:
                synchronize(backend)
                self.begin = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            synchronize(backend)
            seconds = time.perf_counter() - self.begin
            if self.profile:
                self.profile.__exit__(None, None, None)
            if epoch >= 2:
                answer = self.answer if self.profile else seconds
                print(json.dumps(answer), flush=True)

    if backend != "tensorflow":
        # On the device, as those of the peers are.
        images = keras.ops.convert_to_tensor(images)

    def batches():
        while True:
            yield (images,)

    data = batches()
    if backend == "tensorflow":
        # `ImagePipeline` gives training a known batch size, too. With an
        # unknown one TensorFlow takes half as long again.
        import tensorflow as tf

        data = tf.data.Dataset.from_tensors((images,)).repeat()
    model.fit(
        data,
        # Until its words end.
        epochs=sys.maxsize,
        steps_per_epoch=1 + steps,
        callbacks=[Turns()],
        verbose=0,
    )


def take_turns(
    workers, turns, steps, peaks=None, environments=None, profiles=None
):
    """Runs workers in turns.

    They start at the same time, and wait for one another.

    Args:
        workers: tuple of str. Names for `--worker`.
        turns: int. Turns of each.
        steps: int. Steps per turn.
        peaks: dict or None. Gets the peak bytes of each worker.
        environments: dict or None. The variables that a worker gets besides
            this process's, by its name.
        profiles: dict or None. Gets the kernels of each worker.

    Returns:
        A dict of lists, the seconds per step by worker, and a float, the median
        rate of NumPy's matrix product.
    """
    processes = start_all(workers, environments or {})

    def command(process, word):
        process.stdin.write(word + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    seconds = {name: [] for name in workers}
    rates = []
    for _ in range(turns):
        rates.append(matmul_rate())
        for name, process in processes.items():
            seconds[name].append(command(process, "go") / steps)
    for name, process in processes.items():
        if profiles is not None:
            profiles[name] = command(process, "kernels")
        if peaks is not None:
            peaks[name] = command(process, "peak")
        process.kill()
    return seconds, round(statistics.median(rates), 1)


def median_ratio(numerators, denominators):
    """Returns the median ratio of two workers' seconds, pair by pair."""
    pairs = zip(numerators, denominators, strict=True)
    return statistics.median(n / d for n, d in pairs)
