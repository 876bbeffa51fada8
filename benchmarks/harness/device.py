"""What a benchmark asks of the machine that it runs on."""

import resource
import shutil
import subprocess
import time

import numpy as np


def gpus():
    """Returns the names of NVIDIA's GPUs."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.check_output(query, text=True).splitlines()


def synchronize(backend):
    """Waits until the device has done all its work."""
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


def peak_bytes(backend):
    """Returns the most memory that this process has held at once.

    That is the accelerator's memory, or the whole process's on a CPU.
    """
    if backend == "jax":
        import jax

        of_device = jax.local_devices()[0].memory_stats()
        if of_device:
            return of_device["peak_bytes_in_use"]
    elif backend == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
    else:
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def matmul_rate(size=2048):
    """Returns the GFLOP per second of one square float32 product in NumPy."""
    x = np.random.rand(size, size).astype("float32")
    begin = time.perf_counter()
    x @ x
    return 2 * size**3 / (time.perf_counter() - begin) / 1e9
