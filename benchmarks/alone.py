"""What a benchmark asks of a process of its own: peaks of memory, XLA's counts.

`ask` starts the benchmark again with another flag; there, `tell` answers.
"""

import json
import os
import resource
import subprocess
import sys

ENVIRONMENT = {
    # As `examples/pretrain.py` has it.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # Else the first takes most of an accelerator's memory, and keeps it from
    # the others; and all have the same peak.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}


def tell(found):
    print("found " + json.dumps(found), flush=True)


def ask(question, **environment):
    """Runs this benchmark with another flag, and returns what that tells."""
    arguments = [a for a in sys.argv[1:] if not a.startswith("--output")]
    run = subprocess.run(
        [sys.executable, sys.argv[0], question, *arguments],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **os.environ, **environment},
    )
    for line in run.stdout.splitlines():
        if line.startswith("found "):
            return json.loads(line.removeprefix("found "))
    raise SystemExit(f"{question} failed:\n{run.stderr[-4000:]}")


def peak_bytes(backend):
    """Returns the most that this process has held at once.

    Of the accelerator's memory, or all of it on a CPU.
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


def xla_forward_flops(model, image_shape):
    """Returns the FLOPs of the forward pass for an image, as XLA counts them.

    Of the compiled program, so of what is computed in fact. JAX only.
    """
    import jax
    import numpy as np

    trainable = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    lowered = jax.jit(
        lambda t, n, x: model.stateless_call(t, n, x, training=True)[0]
    ).lower(trainable, others, np.zeros((1, *image_shape), "float32"))
    return lowered.compile().cost_analysis()["flops"]
