"""Does keras_mim compute what the field's implementations compute?

    python benchmarks/parity.py --output benchmarks/results/parity/README.md

Runs `tests/parity` on every backend: the same weights, images and masks in
keras_mim and in transformers, timm, lightly and torch. Prints a table of the
largest difference per item and backend, relative to the largest value of the
tensor, and fails if one is beyond its tolerance. Needs the extra `parity`.
"""

import datetime
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from absl import app
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_list("backends", ["tensorflow", "jax", "torch"], "Which to run.")
flags.DEFINE_string("output", None, "Markdown file to write the table to.")

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = (
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "transformers",
    "timm",
    "lightly",
)


def run_suite(backend, folder):
    """Runs the parity suite; returns its exit status and its differences."""
    folder = pathlib.Path(folder) / backend
    folder.mkdir()
    command = "-m pytest -q -rs -n 2 --durations=5 tests/parity"
    status = subprocess.run(
        [sys.executable, *command.split()],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "KERAS_MIM_PARITY_OUTPUT": str(folder),
        },
    ).returncode
    rows = {}
    for path in sorted(folder.iterdir()):
        for item, row in json.loads(path.read_text()).items():
            worst = rows.setdefault(item, row)
            if not row["difference"] <= worst["difference"]:  # Or NaN.
                rows[item] = row
    return status, rows


def make_table(results):
    """Returns the table as lines of Markdown."""
    backends = list(results)
    lines = [
        f"| item | against | {' | '.join(backends)} | tolerance |",
        "|---" * (len(backends) + 3) + "|",
    ]
    items = {k: v for rows in results.values() for k, v in rows.items()}
    for item in sorted(items):
        cells = [
            f"{rows[item]['difference']:.1e}" if item in rows else "missing"
            for rows in results.values()
        ]
        row = items[item]
        lines.append(
            f"| {item} | {row['peer']} | {' | '.join(cells)} "
            f"| {row['tolerance']:.0e} |"
        )
    return lines


def main(_):
    results, failed = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for backend in FLAGS.backends:
            status, results[backend] = run_suite(backend, folder)
            if status:
                failed.append(backend)
    table = make_table(results)
    print("\n".join(table))
    if failed or any("missing" in line for line in table) or len(table) < 3:
        raise SystemExit(f"Parity is not shown. Failed on: {failed}")
    if FLAGS.output:
        versions = ", ".join(
            f"{name} {importlib.metadata.version(name)}" for name in PACKAGES
        )
        text = [
            "# Parity",
            "",
            "Largest absolute difference of a tensor over its largest absolute "
            "value, float32,",
            "the worst of all cases of an item. Made by "
            "`python benchmarks/parity.py`,",
            f"{datetime.date.today()}; {versions}.",
            "",
            *table,
        ]
        path = pathlib.Path(FLAGS.output)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    app.run(main)
