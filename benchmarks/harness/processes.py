"""Runs parts of a benchmark in processes of their own.

A benchmark starts itself again with one more flag. `start_all` starts workers
that take commands; `ask` waits for an answer, which the other process gives
with `answer`.
"""

import json
import os
import subprocess
import sys

ENVIRONMENT = {
    # As `examples/pretrain.py` has it.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # Without these two, the first process takes most of an accelerator's
    # memory, the others get none, and every process has the same peak.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}


def again_with(flag):
    """Returns the command that runs this benchmark with one more flag."""
    arguments = [a for a in sys.argv[1:] if not a.startswith("--output")]
    return [sys.executable, sys.argv[0], flag, *arguments]


def start_all(workers, environments):
    """Starts this benchmark as each of its workers, until all say "ready".

    Args:
        workers: tuple of str. Names for `--worker`.
        environments: dict. Variables that a worker gets besides this process's,
            by its name.

    Returns:
        dict of `subprocess.Popen`, by name.
    """
    processes = {
        worker: subprocess.Popen(
            again_with(f"--worker={worker}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**ENVIRONMENT, **os.environ, **environments.get(worker, {})},
        )
        for worker in workers
    }
    for worker, process in processes.items():
        while (line := process.stdout.readline()).strip() != "ready":
            if not line:
                for other in processes.values():
                    other.kill()
                raise SystemExit(
                    f"{worker} did not start: run with --worker={worker}"
                )
    return processes


def ask(question, **environment):
    """Runs this benchmark with the flag `question` and returns its answer."""
    run = subprocess.run(
        again_with(question),
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **os.environ, **environment},
    )
    for line in run.stdout.splitlines():
        if line.startswith("answer "):
            return json.loads(line.removeprefix("answer "))
    raise SystemExit(f"{question} failed:\n{run.stderr[-4000:]}")


def answer(value):
    """Gives `ask` in the parent process what it returns."""
    print("answer " + json.dumps(value), flush=True)
