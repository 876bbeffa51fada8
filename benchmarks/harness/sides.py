"""The sides of a comparison of training steps, each to be a worker's work.

Ours trains by `fit`, as a user's does; a peer by a loop of its own.
"""

import statistics

import numpy as np

from harness.turns import serve
from harness.turns import serve_fit
from harness.workloads import MODELS
from harness.workloads import compiled

# Sides of torch's matrices, large enough for its best rate, and how many
# products a step is.
PRODUCTS = {"cuda": (8192, 10), "cpu": (2048, 4)}


def train_ours(model, batch_size, precision, steps, jit_compile=None):
    """Serves steps of keras_mim.

    Args:
        model: str. One of `MODELS`.
        batch_size: int. Images per step.
        precision: str. `"float32"` or `"bfloat16"`.
        steps: int. Steps per turn.
        jit_compile: bool or None. See `compiled`.
    """
    workload = MODELS[model]
    shape = (batch_size, workload.side, workload.side, 3)
    images = np.random.rand(*shape).astype("float32")
    serve_fit(compiled(workload, precision, jit_compile), images, steps)


def train_peer(name, model, batch_size, precision, steps, torch_compile):
    """Serves steps of a peer in torch.

    Args:
        name: str. One of `harness.peers.PEERS`.
        model, batch_size, precision, steps: As of `train_ours`.
        torch_compile: bool. Whether to compile the peer.
    """
    import torch

    from harness import peers
    from harness.device import synchronize

    workload, device = MODELS[model], peers.device()
    module = peers.make(name, workload).to(device).train()
    called = torch.compile(module) if torch_compile else module
    on_gpu = {"fused": True} if device == "cuda" else {}
    optimizer = torch.optim.AdamW(
        module.parameters(), 1e-4, (0.9, 0.95), weight_decay=0.05, **on_gpu
    )
    shape = (batch_size, 3, workload.side, workload.side)
    images = torch.rand(shape, device=device)
    autocast = precision == "bfloat16"

    def run_steps(number):
        for _ in range(number):
            with torch.autocast(device, torch.bfloat16, enabled=autocast):
                loss = called(images)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        synchronize("torch")

    serve(run_steps, steps)


def multiply(precision, steps):
    """Serves products of large matrices: what the device can do at best."""
    import torch

    from harness import peers
    from harness.device import synchronize

    size, repeats = PRODUCTS[peers.device()]
    x = torch.rand((size, size), device=peers.device())
    x = x.to(getattr(torch, precision))

    def run_steps(number):
        for _ in range(number * repeats):
            x @ x
        synchronize("torch")

    serve(run_steps, steps)


def multiply_rate(seconds):
    """Returns the GFLOP per second of `multiply`'s steps.

    Args:
        seconds: list of float. Of a step, one per turn.
    """
    from harness import peers

    size, repeats = PRODUCTS[peers.device()]
    return 2e-9 * size**3 * repeats / statistics.median(seconds)


def step_flops(model, batch_size):
    """Returns the FLOPs of a training step; backward is twice forward."""
    return 3 * MODELS[model].forward_flops() * batch_size
