import csv
import json
import signal

import keras
import pytest

from keras_mim import MAE
from keras_mim.callbacks import Backup
from tests.distribution.processes import cluster
from tests.distribution.processes import output_of
from tests.distribution.processes import started
from tests.readme_test import RUN_EXAMPLE
from tests.test_case import ROOT
from tests.test_case import TestCase

pytest.importorskip("tensorflow")
pytest.importorskip("matplotlib")

PRETRAIN = ROOT / "examples/pretrain.py"
SMALL = (
    "--data=photos --image_size=32 --hidden_dim=16 --num_layers=1 "
    "--num_heads=2 --decoder_dim=16 --decoder_layers=1 --decoder_heads=2 "
    "--epochs=3 --warmup_epochs=1 --batch_size=8 --picture_every=2"
).split()
# The second process is killed in the middle of the second epoch, as by a
# machine that fails. JAX's chief has its error at once, but then waits for the
# other until it misses its heartbeats: not for a hundred seconds here.
KILLED = (
    "import functools, os, runpy, signal, sys, keras, keras_mim\n"
    "index = sys.argv.pop()\n"
    "if keras.backend.backend() == 'jax':\n"
    "    import jax\n"
    "    jax.distributed.initialize = functools.partial(\n"
    "        jax.distributed.initialize, heartbeat_timeout_seconds=10)\n"
    "class Killer(keras_mim.callbacks.FiniteCheck):\n"
    "    seen = 0\n"
    "    def on_train_batch_end(self, batch, logs=None):\n"
    "        self.seen += 1\n"
    "        if self.seen == 4 and index == '1':\n"
    "            os.kill(os.getpid(), signal.SIGKILL)\n"
    "keras_mim.callbacks.FiniteCheck = Killer\n"
) + RUN_EXAMPLE
# Whether a process that ends has left the others. A thread of torch's gloo that
# outlives Python aborts it, now and then.
LEAVING = (
    "import atexit, importlib, pathlib, runpy, sys, keras\n"
    "sys.argv.pop()\n"
    "backend = keras.backend.backend()\n"
    "def tell():\n"
    "    names = pathlib.Path('/proc/self/task').glob('*/comm')\n"
    "    gloo = any('gloo' in name.read_text() for name in names)\n"
    "    print('joined', group.is_initialized() or gloo)\n"
    "if backend != 'tensorflow':\n"
    "    group = importlib.import_module(backend + '.distributed')\n"
    "    atexit.register(tell)\n"
) + RUN_EXAMPLE


class PretrainTest(TestCase):
    def run_both(self, command, timeout):
        """Returns how two processes ended, and what they wrote."""
        commands = [[*command, str(index)] for index in range(2)]
        with started(commands, cluster()) as processes:
            for process in processes:
                process.wait(timeout)
            return [(p.returncode, output_of(p)) for p in processes]

    def test_a_killed_worker_ends_the_run_which_can_be_resumed(self):
        folder = self.temp_dir() / "run"
        # On JAX the harder one: no process has all weights.
        kind = "model" if keras.backend.backend() == "jax" else "data"
        flags = [*SMALL, f"--distribution={kind}", f"--output_dir={folder}"]
        chief, killed = self.run_both(["-c", KILLED, PRETRAIN, *flags], 240)
        self.assertEqual(killed[0], -signal.SIGKILL, killed[1])
        # An error that says why, and not an endless wait.
        self.assertNotEqual(chief[0], 0, chief[1])
        reasons = "Connection (reset|closed) by peer|Socket closed"
        reasons = f"{reasons}|another task died"
        self.assertRegex(chief[1], reasons)
        self.assertEqual(Backup(folder / "backup").finished_epochs, 1)

        command = ["-c", LEAVING, PRETRAIN, *flags, "--resume"]
        for code, output in self.run_both(command, 240):
            self.assertEqual(code, 0, output)
            if keras.backend.backend() != "tensorflow":
                self.assertIn("joined False", output)
        with open(folder / "history.csv") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["epoch"] for row in rows], ["0", "1", "2"])
        model = keras.saving.load_model(folder / "model.keras")
        self.assertIsInstance(model, MAE)
        # 28 photos make three batches of 8, in three epochs.
        self.assertEqual(int(model.optimizer.iterations), 9)
        self.assertEqual(Backup(folder / "backup").finished_epochs, 3)
        config = json.loads((folder / "config.json").read_text())
        self.assertTrue(config["finished"])
        self.assertTrue((folder / "reconstructions/epoch_0002.png").exists())
