import os
import signal

import numpy as np

from keras_mim.callbacks._backup_files import find_backups
from keras_mim.callbacks._backup_files import find_whole
from keras_mim.callbacks._backup_files import write_backup
from tests.faults.file_events import kill_at
from tests.test_case import TestCase


def write(folder, epoch):
    facts = {"epoch": epoch, "step": 0, "history": [{}] * epoch}
    values = [("a", np.full((3, 2), float(epoch))), ("b", np.array(epoch))]
    return write_backup(folder, facts, {"model": values})


def read(folder):
    path, facts = find_whole(folder, sets_aside=True)
    with np.load(path) as arrays:
        values = [arrays[f"model/{i}"] for i in range(2)]
    return facts["epoch"], values


class BackupFilesTest(TestCase):
    def test_a_killed_process_leaves_a_whole_backup(self):
        number, seen = 0, set()
        while True:
            folder = self.temp_dir()
            for epoch in (1, 2):
                write(folder, epoch)
            child = os.fork()
            if not child:
                kill_at(folder, number)
                write(folder, 3)
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            epoch, values = read(folder)
            self.assertIn(epoch, (2, 3))
            self.assertAllEqual(values[0], np.full((3, 2), float(epoch)))
            self.assertAllEqual(values[1], epoch)
            seen.add(epoch)
            # And the next one is written, and what was half of one is gone.
            write(folder, 4)
            names = sorted(os.listdir(folder))
            self.assertEqual(len(names), 2, names)
            self.assertEqual(read(folder)[0], 4)
            if code != -signal.SIGKILL:
                break
            number += 1
        self.assertGreaterEqual(number, 6)
        self.assertEqual(seen, {2, 3})

    def test_every_changed_byte_is_noticed(self):
        folder = self.temp_dir()
        write(folder, 1)
        newest = write(folder, 2)
        content = newest.read_bytes()
        damaged = [content[: len(content) // 2], b""]
        rng = np.random.default_rng(0)
        for place in rng.integers(0, len(content), 40):
            changed = bytearray(content)
            changed[place] ^= 255
            damaged.append(bytes(changed))
        for broken in damaged:
            newest.write_bytes(broken)
            try:
                with self.assertWarnsRegex(UserWarning, f"{newest.name} is d"):
                    epoch, values = read(folder)
            except AssertionError:
                # A byte that nothing depends on, such as a date.
                epoch, values = read(folder)
                self.assertEqual(epoch, 2)
            self.assertAllEqual(values[1], epoch)
        self.assertEqual(find_backups(folder)[0].name[:12], "epoch_000001")
        (folder / f"{newest.name}.damaged").unlink()
        find_backups(folder)[0].write_bytes(b"nothing")
        with self.assertWarns(UserWarning):
            with self.assertRaisesRegex(ValueError, "No backup .* is whole"):
                read(folder)
        # Which is told again, as it is not to begin anew in silence.
        with self.assertRaisesRegex(ValueError, "No backup .* is whole"):
            read(folder)
