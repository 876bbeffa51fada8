"""What a GPU ran, by name and time."""

import collections
import contextlib
import pathlib
import tempfile

# What the names of kernels have in them, by kind; the first that fits.
KINDS = {
    "attention": ("sdpa", "flash", "fmha", "compute_dot_do_o", "convert_dq"),
    "matrix products": ("gemm", "nvjet", "cutlass", "cublas", "xmma", "splitK"),
    "copies": ("Memcpy", "Memset"),
}


def kind_of(kernel):
    """Returns one of `KINDS`, or `"element by element"`."""
    for kind, parts in KINDS.items():
        if any(part in kernel for part in parts):
            return kind
    return "element by element"


@contextlib.contextmanager
def of_steps(backend, steps):
    """Watches the GPU while the context is open.

    Args:
        backend: str. `"jax"` or `"torch"`.
        steps: int. How many steps will be run.

    Yields:
        list, which is filled at the end: `[name, milliseconds, number]` of each
        kernel, of one step; the longest first; empty without a GPU.
    """
    found, watch = [], _watch_jax if backend == "jax" else _watch_torch
    milliseconds, numbers = collections.Counter(), collections.Counter()
    with watch(milliseconds, numbers):
        yield found
    for name, total in milliseconds.most_common():
        found.append(
            [name, round(total / steps, 4), round(numbers[name] / steps, 2)]
        )


@contextlib.contextmanager
def _watch_jax(milliseconds, numbers):
    import jax

    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            yield
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
            if "/device:GPU" not in plane.name:
                continue
            for line in plane.lines:
                # Other lines say the same again, by program and by operation.
                if not line.name.startswith("Stream"):
                    continue
                for event in line.events:
                    milliseconds[event.name] += event.duration_ns / 1e6
                    numbers[event.name] += 1


@contextlib.contextmanager
def _watch_torch(milliseconds, numbers):
    import torch
    from torch import profiler

    if not torch.cuda.is_available():
        yield
        return
    with profiler.profile(activities=[profiler.ProfilerActivity.CUDA]) as watch:
        yield
    for event in watch.key_averages():
        if event.self_device_time_total:
            milliseconds[event.key] += event.self_device_time_total / 1e3
            numbers[event.key] += event.count
