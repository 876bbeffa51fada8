"""Kills a process at what it does to files. Needs only Python's own modules."""

import os
import pathlib
import signal
import stat
import sys

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir")


def watch(folder, on_event):
    """Calls a function before everything that is done to files of a folder.

    For as long as the process lives: it is Python that tells, by its audit
    events, and nothing has to be put into the code that writes.

    Args:
        folder: str or path.
        on_event: callable. Takes the name of the event, such as
            `"os.rename config.json"`; or `None` for one that tears, and the
            path. After a file is written and before it is synced, there are
            two: `torn` is for those who cut the file in half.
    """
    root = os.path.abspath(folder)
    sync = os.fsync

    def audit(event, args):
        if event not in EVENTS or not isinstance(args[0], (str, os.PathLike)):
            return
        if event == "open" and not args[2] & WRITES:
            return
        path = os.path.abspath(args[1] if event == "os.rename" else args[0])
        if path.startswith(root + os.sep):
            on_event(f"{event} {os.path.relpath(path, root)}", path)

    def audited_sync(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if (path + os.sep).startswith(root + os.sep):
            name = os.path.relpath(path, root)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                on_event(f"torn {name}", path)
            on_event(f"sync {name}", path)
        sync(descriptor)

    os.fsync = audited_sync
    sys.addaudithook(audit)


def log_events(folder, log):
    """Writes the names of all events to a file, one a line."""
    file = open(log, "w", buffering=1)
    watch(folder, lambda name, _: print(name, file=file))


def kill_at(folder, number):
    """Kills this process at the event of a number, from 0 on."""
    seen = iter(range(number))

    def count(name, path):
        if next(seen, None) is not None:
            return
        if name.startswith("torn "):
            os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    watch(folder, count)


def fail_at(folder, number, error):
    """Raises an error at the event of a number, as a full disk does."""
    seen = iter(range(number))

    def count(name, path):
        if next(seen, None) is None:
            raise error

    watch(pathlib.Path(folder), count)
