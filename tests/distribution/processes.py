"""Starts the processes of a distributed run, and always ends them."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile

import keras

from tests.test_case import ROOT


def free_ports(count):
    """Returns ports of this machine that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]


def cluster(count=2):
    """Returns what tells each process of its place, as its engine has it."""
    ports = free_ports(count)
    addresses = [f"localhost:{port}" for port in ports]
    backend = keras.backend.backend()
    if backend == "jax":
        return [
            {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": ",".join(addresses),
                "KERAS_DISTRIBUTION_NUM_PROCESSES": str(count),
                "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
            }
            for index in range(count)
        ]
    if backend == "tensorflow":
        return [
            {
                "TF_CONFIG": json.dumps(
                    {
                        "cluster": {"worker": addresses},
                        "task": {"type": "worker", "index": index},
                    }
                )
            }
            for index in range(count)
        ]
    # What torchrun sets.
    return [
        {
            "MASTER_ADDR": "localhost",
            "MASTER_PORT": str(ports[0]),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "RANK": str(index),
            "LOCAL_RANK": str(index),
        }
        for index in range(count)
    ]


@contextlib.contextmanager
def started(commands, environments):
    """Gives processes that run Python, and kills what is left of them.

    Each writes to a file: `output_of(process)` reads it.
    """
    processes = []
    try:
        for command, environment in zip(commands, environments, strict=True):
            processes.append(
                subprocess.Popen(
                    [sys.executable, *map(str, command)],
                    env={**base_environment(), **environment},
                    stdout=(output := tempfile.TemporaryFile("w+")),
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
            processes[-1].output = output
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.output.close()


def base_environment():
    """Returns this process's environment, less what it was distributed by."""
    return {
        **os.environ,
        "KERAS_BACKEND": keras.backend.backend(),
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": "1",
        # Tiny models run for a few steps: compiling them well takes longer.
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }


def output_of(process):
    process.output.seek(0)
    return process.output.read()


def results_of(command, environments=({},), timeout=240):
    """Runs a command in processes that work together.

    Returns: list of what each wrote behind `RESULT`, as JSON.
    """
    commands = [command] * len(environments)
    with started(commands, environments) as processes:
        for process in processes:
            process.wait(timeout)
        results = []
        for process in processes:
            output = output_of(process)
            if process.returncode:
                raise AssertionError(output[-4000:])
            lines = output.splitlines()
            line = next(x for x in lines if x.startswith("RESULT "))
            results.append(json.loads(line.removeprefix("RESULT ")))
        return results
