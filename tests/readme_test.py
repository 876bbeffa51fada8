import os
import re
import subprocess
import sys

import pytest

from tests.test_case import ROOT
from tests.test_case import TestCase

README = (ROOT / "README.md").read_text()
EXAMPLES = [
    path
    for path in sorted((ROOT / "examples").glob("*.py"))
    if "app.run(" in path.read_text()
]
# The end of a script that changes something and then runs the example which its
# first argument names.
RUN_EXAMPLE = (
    "sys.argv = sys.argv[1:]\n"
    "sys.path.insert(0, sys.argv[0].rpartition('/')[0])\n"
    "runpy.run_path(sys.argv[0], run_name='__main__')\n"
)


def run(arguments):
    """Runs Python on the source tree, installed or not."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


class ReadmeTest(TestCase):
    def test_opens_with_two_commands_that_run_what_is_there(self):
        first = re.search(r"```bash\n(.*?)```", README, re.DOTALL).group(1)
        commands = first.strip().splitlines()
        self.assertEqual(len(commands), 2)
        for command in commands:
            self.assertIn("python3 -m venv .venv", command)
            self.assertIn("pip install", command)
        self.assertTrue(commands[0].endswith("python examples/pretrain.py"))
        self.assertIn("-m pytest", commands[1])

    def test_files_it_names_exist(self):
        for path in re.findall(r"python ((?:examples|guides)/\w+\.py)", README):
            self.assertTrue((ROOT / path).exists(), path)

    def test_links_of_every_page_lead_somewhere(self):
        names = ("*.md", "guides/**/*.md", "docs/**/*.md", "benchmarks/**/*.md")
        pages = [page for name in names for page in ROOT.glob(name)]
        self.assertGreater(len(pages), 15)
        for page in pages:
            for link in re.findall(r"\]\(([\w./-]+)\)", page.read_text()):
                self.assertTrue((page.parent / link).exists(), (page, link))

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_its_python_runs(self):
        pytest.importorskip("tensorflow")
        (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
        self.assertIn("epochs=20", code)
        code = code.replace("epochs=20", "epochs=1, steps_per_epoch=2")
        # Six blocks are traced six times as long as one.
        code = code.replace("num_layers=6", "num_layers=1")
        folder = self.temp_dir()
        code = code.replace('"encoder', f'"{folder}/encoder')
        # What papers exempt does not decay.
        code += (
            "\nfor w in mae.trainable_weights:\n"
            "    decays = optimizer._use_weight_decay(w)\n"
            "    assert decays == (len(w.shape) > 1), w.path\n"
        )
        result = run(["-c", code])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue((folder / "encoder" / "saved_model.pb").exists())

    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_every_example_explains_itself(self):
        self.assertGreaterEqual(len(EXAMPLES), 3)
        # Each in a process that has the imports behind it: they take seconds.
        script = (
            "import os, runpy, sys\n"
            "import keras_mim\n"
            "sys.path.insert(0, os.path.dirname(sys.argv[1]))\n"
            "for path in sys.argv[1:]:\n"
            "    print('\\f', end='', flush=True)\n"
            "    if not os.fork():\n"
            "        sys.argv = [path, '--help']\n"
            "        runpy.run_path(path, run_name='__main__')\n"
            "    os.wait()\n"
        )
        result = run(["-c", script, *EXAMPLES])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("Traceback", result.stderr)
        texts = result.stdout.split("\f")[1:]
        for example, text in zip(EXAMPLES, texts, strict=True):
            self.assertIn(f"python examples/{example.name}", text)
            self.assertIn("--", text)
