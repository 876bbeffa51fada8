import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from tests.readme_test import run
from tests.test_case import ROOT
from tests.test_case import TestCase

PHOTOS = ROOT / "examples/data/photos"
# A process that has the imports behind it, which take longer than most runs of
# tiny models. It forks for each example, before anything is computed.
SERVER = """
import json, os, runpy, sys
import keras_mim, matplotlib.figure, tensorflow

def next_example():
    for line in sys.stdin:
        if not os.fork():
            return json.loads(line)
        _, status = os.wait()
        print(os.waitstatus_to_exitcode(status), flush=True)
    sys.exit()

output, *sys.argv = next_example()
for descriptor in 1, 2:
    os.dup2(os.open(output, os.O_WRONLY | os.O_APPEND), descriptor)
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class ExampleTestCase(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = None

    @classmethod
    def tearDownClass(cls):
        if cls.server is not None:
            cls.server.stdin.close()
            cls.server.stdout.close()
            cls.server.wait()

    @classmethod
    def start_server(cls):
        cls.server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def example(self, name, *arguments, fails=False):
        """Runs an example, in a process of its own, and returns its output."""
        if self.server is None:
            self.start_server()
        with tempfile.NamedTemporaryFile("r") as output:
            command = [output.name, ROOT / "examples" / name, *arguments]
            line = json.dumps(list(map(str, command)))
            print(line, file=self.server.stdin, flush=True)
            code = int(self.server.stdout.readline())
            text = output.read()
        self.assertEqual(code != 0, fails, text)
        # A warning of ours that a newcomer can do nothing about.
        self.assertNotIn("AutoGraph", text)
        return text
