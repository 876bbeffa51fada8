"""Kills real training wherever it writes, resumes it, and compares.

    KERAS_BACKEND=torch python -m tests.faults.kill --kills=200

Each example trains a tiny model once to its end. The files that it wrote or
moved, in order, are the named points: it is killed at each of them by SIGKILL.
At random times it is killed too, or gets SIGTERM, which it answers by a backup
inside of the epoch. Then it is resumed, and has to end with the same weights,
optimizer, random streams and history, bit for bit. Prints a line for every kind
of point: how many were lost, resumed equal, resumed otherwise.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
SIZES = (
    "--image_size=16 --batch_size=2 --epochs=2 --warmup_epochs=1 "
    "--nojit_compile"
)
PRETRAIN = (
    "--patch_size=8 --hidden_dim=8 --num_layers=1 --num_heads=1 "
    "--decoder_dim=8 --decoder_layers=1 --decoder_heads=1 --picture_every=1"
)
FINETUNE = "--drop_path_rate=0 --norand_augment --ema_momentum=0.5"
# Has the imports behind it, which take longer than a run, and forks for each.
SERVER = """
import json, os, runpy, sys
import keras_mim, matplotlib.figure, tensorflow
for line in sys.stdin:
    output, change, *argv = json.loads(line)
    child = os.fork()
    if not child:
        break
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
else:
    sys.exit()
for descriptor in 1, 2:
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
os.setpgid(0, 0)
sys.argv = argv
sys.path.insert(0, os.path.dirname(argv[0]))
# TensorFlow writes those, from another process on the other backends: tests of
# their own have it. Here they are files like others.
def export(model, path, **options):
    path.mkdir()
    (path / "saved_model.pb").write_text("model")
keras_mim.serving.export_encoder = export
keras_mim.serving.export_classifier = export
exec(change)
runpy.run_path(argv[0], run_name="__main__")
"""


class Server:
    """Runs examples in forks of one process."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}:{ROOT / 'examples'}",
                "TF_CPP_MIN_LOG_LEVEL": "3",
                # Threads that end in another order add up otherwise.
                "TF_NUM_INTRAOP_THREADS": "1",
                "OMP_NUM_THREADS": "1",
                # Compiling them well takes longer than these few steps.
                "XLA_FLAGS": "--xla_backend_optimization_level=0",
            },
        )

    def run(self, command, output, change=""):
        """Returns what the process of a command ended with."""
        line = json.dumps([str(output), change, *map(str, command)])
        print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            code = self.process.wait()
            raise RuntimeError(f"The server has ended, with {code}.")
        return int(answer)

    def close(self):
        self.process.communicate()


class Example:
    """An example that trains a tiny model, and what it gives if left alone."""

    def __init__(self, server, name, folder):
        self.server, self.name, self.folder = server, name, folder
        flags = f"--data={folder / 'images'} {SIZES} "
        if name == "finetune":
            flags += f"--encoder={folder / 'encoder.keras'} {FINETUNE}"
        else:
            flags += PRETRAIN
        self.command = [ROOT / f"examples/{name}.py", *flags.split()]
        whole = self.folder / name
        log = self.folder / f"{name}.events"
        start = time.time()
        change = f"file_events.log_events({str(whole)!r}, {str(log)!r})"
        code = self.run(whole, change)
        if code:
            raise RuntimeError((self.folder / "output").read_text())
        self.seconds = time.time() - start
        self.points = log.read_text().splitlines()
        self.expected = state_of(whole)

    def run(self, folder, change="", *flags):
        change = f"from tests.faults import file_events\n{change}"
        return self.server.run(
            [*self.command, f"--output_dir={folder}", *flags],
            self.folder / "output",
            change,
        )

    def kill(self, change):
        """Kills a run, resumes it, and says what came of it."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            folder = pathlib.Path(folder) / "run"
            code = self.run(folder, change)
            if code == 0:
                return "not killed"
            if code > 0 and code != 128 + signal.SIGTERM:
                return f"lost: it ended with {code}"
            damaged = find_damaged(folder)
            if damaged:
                return f"lost: half of {damaged}"
            # What has not begun is begun again, as by whoever sees it.
            has_begun = (folder / "config.json").exists()
            code = self.run(folder, "", *["--resume"] * has_begun)
            if code:
                output = (self.folder / "output").read_text()
                return f"lost: {output.strip().splitlines()[-1:]}"
            different = compare(state_of(folder), self.expected)
            return f"not equal: {different}" if different else "equal"


def state_of(folder):
    """Returns all that a finished run has to have, by name."""
    import h5py

    state = {}
    (backup,) = sorted((folder / "backup").glob("*.npz"))
    with np.load(backup) as arrays:
        for name in arrays.files:
            if name != "facts.json":
                state[f"backup/{name}"] = arrays[name]
    for path in sorted(folder.glob("*.keras")):
        with zipfile.ZipFile(path) as archive:
            with h5py.File(archive.open("model.weights.h5")) as file:

                def add(name, item, path=path):
                    if isinstance(item, h5py.Dataset):
                        state[f"{path.name}/{name}"] = np.array(item)

                file.visititems(add)
    config = json.loads((folder / "config.json").read_text())
    state["finished"] = np.array(config["finished"])
    for name in ("history.csv", "report.json"):
        if (folder / name).exists():
            state[name] = np.array((folder / name).read_text())
    files = [str(p.relative_to(folder)) for p in sorted(folder.rglob("*"))]
    state["files"] = np.array(files)
    return state


def compare(found, expected):
    """Returns the names of what is not the same in both."""
    names = sorted({*found, *expected})
    return [
        name
        for name in names
        if name not in found
        or name not in expected
        or not np.array_equal(found[name], expected[name])
    ]


def find_damaged(folder):
    """Returns the first visible file that is not whole, or `None`."""
    from PIL import Image

    for path in sorted(folder.rglob("*")):
        if path.is_dir() or ".partial" in str(path):
            continue
        try:
            if path.suffix in (".npz", ".keras"):
                with zipfile.ZipFile(path) as archive:
                    whole = archive.testzip() is None
            elif path.suffix == ".json":
                whole = bool(json.loads(path.read_text()))
            elif path.suffix == ".png":
                Image.open(path).load()
                whole = True
            else:
                whole = path.read_text().endswith(("\n", "model"))
        except Exception as error:
            return f"{path.name}: {error}"
        if not whole:
            return path.name
    return None


def write_data(server, folder):
    """Writes photos of two classes, and an encoder."""
    change = f"""
import keras, numpy as np
from PIL import Image
rng = np.random.default_rng(0)
for split, count in (("train", 4), ("val", 2)):
    for kind in ("first", "second"):
        path = pathlib.Path({str(folder)!r}, "images", split, kind)
        path.mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (16, 16, 3), "uint8")
            Image.fromarray(pixels).save(path / f"{{i}}.png")
encoder = keras_mim.encoders.ViT((16, 16, 3), 8, 8, 1, 1, 16)
encoder.save({str(folder / "encoder.keras")!r})
sys.exit()
"""
    command = [ROOT / "examples/pretrain.py"]
    if server.run(command, folder / "output", f"import pathlib\n{change}"):
        raise RuntimeError((folder / "output").read_text())


def timer(kind, seconds):
    """Returns code that has its process killed, or asked to end, by and by."""
    if kind == "random SIGKILL":
        # The kernel's: what holds Python up does not delay it.
        return f"import signal\nsignal.setitimer(signal.ITIMER_REAL, {seconds})"
    return (
        "import signal, threading\n"
        f"timer = threading.Timer({seconds}, "
        "os.kill, (os.getpid(), signal.SIGTERM))\n"
        "timer.daemon = True\n"
        "timer.start()"
    )


def kind_of(point):
    """Returns the point without numbers of epochs, to count by."""
    return re.sub(r"\d{4,}", "N", point)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--examples", default="pretrain,finetune")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--random", type=float, default=0.3)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    end = time.time() + arguments.seconds
    server = Server()
    counts = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_data(server, folder)
        kills, examples = [], []
        for name in arguments.examples.split(","):
            example = Example(server, name, folder)
            examples.append(example)
            print(
                f"{name}: {len(example.points)} points, "
                f"{example.seconds:.1f} s a run",
                flush=True,
            )
            path = "sys.argv[-1].split('=')[1]"
            kills += [
                (example, point, f"file_events.kill_at({path}, {i})")
                for i, point in enumerate(example.points)
            ]
        rng.shuffle(kills)
        kills = kills[: int(arguments.kills * (1 - arguments.random))]
        for _ in range(arguments.kills - len(kills)):
            example = rng.choice(examples)
            seconds = rng.uniform(0.1, 1.0) * example.seconds
            kind = rng.choice(["random SIGKILL", "random SIGTERM"])
            kills.append((example, kind, timer(kind, seconds)))
        rng.shuffle(kills)
        for number, (example, point, change) in enumerate(kills):
            if time.time() > end:
                print(f"Out of time after {number} of {len(kills)} kills.")
                break
            result = example.kill(change)
            counts[example.name, kind_of(point)][result.split(":")[0]] += 1
            if result != "equal":
                print(f"{example.name}, {point}: {result}", flush=True)
    server.close()
    total = collections.Counter()
    for (name, point), results in sorted(counts.items()):
        print(f"{name:10} {point:60} {dict(results)}")
        total += results
    print(f"{os.environ.get('KERAS_BACKEND')}: {dict(total)}")
    sys.exit(any(k in total for k in ("lost", "not equal")))


if __name__ == "__main__":
    # A child that is stopped by hand stops all.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
