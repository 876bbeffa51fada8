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

import statistics
import sys
import time

from harness.device import matmul_rate
from harness.device import peak_bytes
from harness.device import synchronize
from harness.processes import start


def serve(run_steps, steps, backend="torch"):
    """Serves as the worker of any program: runs steps at every command."""
    run_steps(1)
    run_steps(2)
    print("ready", flush=True)
    for line in sys.stdin:
        if line == "peak\n":
            print(peak_bytes(backend), flush=True)
            continue
        run_steps(1)
        begin = time.perf_counter()
        run_steps(steps)
        print(time.perf_counter() - begin, flush=True)


def serve_fit(model, images, turns, steps):
    """Serves as the worker of a Keras model: one long `fit`, an epoch per turn.

    In one `fit` the state stays on the device, as in training. The first two
    epochs compile and warm up.
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
                synchronize(backend)
                self.begin = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            synchronize(backend)
            if epoch >= 2:
                print(time.perf_counter() - self.begin, flush=True)

    if backend == "jax":
        # The images of torch's workers are on the device, too.
        import jax

        images = jax.device_put(images)

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
        epochs=turns + 2,
        steps_per_epoch=1 + steps,
        callbacks=[Turns()],
        verbose=0,
    )
    if sys.stdin.readline():
        print(peak_bytes(backend), flush=True)


def take_turns(workers, turns, steps, peaks=None, environments=None):
    """Runs workers in turns.

    Args:
        workers: tuple of str. Names for `--worker`.
        turns: int. Turns of each.
        steps: int. Steps per turn.
        peaks: dict or None. Gets the peak bytes of each worker.
        environments: dict or None. The variables that a worker gets besides
            this process's, by its name.

    Returns:
        A dict of lists, the seconds per step by worker, and a float, the median
        rate of NumPy's matrix product.
    """
    environments = environments or {}
    processes = {
        name: start(name, **environments.get(name, {})) for name in workers
    }

    def command(process, word):
        process.stdin.write(word + "\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    seconds = {name: [] for name in workers}
    rates = []
    for _ in range(turns):
        rates.append(matmul_rate())
        for name, process in processes.items():
            seconds[name].append(command(process, "go") / steps)
    for name, process in processes.items():
        if peaks is not None:
            peaks[name] = int(command(process, "peak"))
        process.kill()
    return seconds, round(statistics.median(rates), 1)


def median_ratio(numerators, denominators):
    """Returns the median ratio of two workers' seconds, pair by pair."""
    pairs = zip(numerators, denominators, strict=True)
    return statistics.median(n / d for n, d in pairs)
