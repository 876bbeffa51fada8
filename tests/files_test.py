import os
import signal
from unittest import mock

from keras_mim._files import whole
from tests.faults.file_events import kill_at
from tests.test_case import TestCase


class WholeTest(TestCase):
    def test_an_error_leaves_what_was_there(self):
        folder = self.temp_dir()
        path = folder / "new" / "report.json"
        for text in ("first", "second"):
            with whole(path) as partial:
                self.assertEqual(partial.suffix, ".json")
                partial.write_text(text)
            self.assertEqual(path.read_text(), text)
        with self.assertRaisesRegex(ValueError, "in between"):
            with whole(path) as partial:
                partial.write_text("half")
                raise ValueError("in between")
        self.assertEqual(path.read_text(), "second")
        full = mock.patch("os.fsync", side_effect=OSError(28, "No space left"))
        with full, self.assertRaisesRegex(OSError, "No space"):
            with whole(path) as partial:
                partial.write_text("third")
        self.assertEqual(list(path.parent.iterdir()), [path])
        self.assertEqual(path.read_text(), "second")

    def test_a_folder_is_replaced(self):
        path = self.temp_dir() / "model"
        for name in ("a", "b"):
            with whole(path) as partial:
                (partial / name).mkdir(parents=True)
                (partial / name / "file").write_text(name)
        self.assertEqual(list(path.parent.iterdir()), [path])
        self.assertEqual([p.name for p in path.iterdir()], ["b"])

    def test_a_killed_process_leaves_the_old_or_the_new(self):
        folder = self.temp_dir()
        path = folder / "text"
        path.write_text("old")
        found = []
        while True:
            child = os.fork()
            if not child:
                kill_at(folder, len(found))
                with whole(path) as partial:
                    partial.write_text("new")
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            found.append(path.read_text())
            if code != -signal.SIGKILL:
                break
        # Before: removing, opening, syncing half, syncing all, renaming; then
        # syncing the folder, and not at all.
        self.assertEqual(found, ["old"] * 5 + ["new"] * 2)
