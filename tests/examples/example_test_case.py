import json
import os
import subprocess
import sys
import tempfile

import keras
import numpy as np

from tests.readme_test import RUN_EXAMPLE
from tests.readme_test import run
from tests.test_case import ROOT
from tests.test_case import TestCase

PHOTOS = ROOT / "examples/data/photos"
SMALL = (
    "--data=photos --image_size=32 --hidden_dim=16 --num_layers=1 "
    "--num_heads=2 --decoder_dim=16 --decoder_layers=1 --decoder_heads=2 "
    "--epochs=2 --warmup_epochs=1 --batch_size=8 --picture_every=2"
).split()
# A process that has the imports behind it, which take longer than most runs of
# tiny models. It forks for each run, before anything is computed.
SERVER = """
import json, os, runpy, sys
import keras_mim, matplotlib.figure, tensorflow

def next_run():
    for line in sys.stdin:
        if not os.fork():
            return json.loads(line)
        _, status = os.wait()
        print(os.waitstatus_to_exitcode(status), flush=True)
    sys.exit()

output, change, *sys.argv = next_run()
for descriptor in 1, 2:
    os.dup2(os.open(output, os.O_WRONLY | os.O_APPEND), descriptor)
sys.path.insert(0, os.path.dirname(sys.argv[0]))
exec(change)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class ExampleTestCase(TestCase):
    """Runs examples on tiny models, in processes of their own."""

    server = None

    @classmethod
    def tearDownClass(cls):
        if cls.server is not None:
            cls.server.communicate()  # Closes its input, at which it ends.
            cls.server = None

    @classmethod
    def start_server(cls):
        cls.server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                # Threads that end in another order add up otherwise.
                "TF_NUM_INTRAOP_THREADS": "1",
            },
        )

    def example(self, name, *arguments, change="", code=0):
        """Runs an example in a process of its own, and returns its output.

        On TensorFlow in a fork; threads of the other backends rule that out.

        Args:
            name: str. Its file.
            *arguments: What it is called with.
            change: str. Python that runs before it.
            code: int. What the process must end with.
        """
        command = [ROOT / "examples" / name, *arguments]
        if keras.backend.backend() == "tensorflow":
            ended_with, output = self.fork(change, *command)
        else:
            script = f"import runpy, sys\n{change}\n{RUN_EXAMPLE}"
            result = run(["-c", script, *command])
            ended_with = result.returncode
            output = result.stdout + result.stderr
        self.assertEqual(ended_with, code, output)
        # A warning of ours that a newcomer can do nothing about.
        self.assertNotIn("AutoGraph", output)
        return output

    def fork(self, change, *command):
        if self.server is None:
            self.start_server()
        with tempfile.NamedTemporaryFile("r") as output:
            line = json.dumps([output.name, change, *map(str, command)])
            print(line, file=self.server.stdin, flush=True)
            return int(self.server.stdout.readline()), output.read()

    def assertIsPicture(self, path):
        from PIL import Image

        self.assertGreater(np.array(Image.open(path)).std(), 0)

    def file_names(self, folder):
        return {path.name for path in folder.iterdir()}

    def two_classes(self, folder):
        """Writes the same photos as two classes, to train and to judge on."""
        images = folder / "images"
        for split, number in (("train", 4), ("val", 2)):
            for i in range(number):
                name = f"kodak_{number + i:02d}.jpg"
                for kind in ("first", "second"):
                    target = images / split / kind / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes((PHOTOS / name).read_bytes())
        return images
