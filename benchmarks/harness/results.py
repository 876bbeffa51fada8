"""What a benchmark writes: its numbers, and where and with what it ran."""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import sys

from harness.device import gpus


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


def read_earlier(path, key):
    """Returns what the result at `path` has under `key`, or an empty dict."""
    path = pathlib.Path(path or "")
    return json.loads(path.read_text())[key] if path.is_file() else {}


def write(path, result):
    """Writes a result as JSON, where `path` is given."""
    if path:
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n")
