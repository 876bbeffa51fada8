import os
import signal
import threading

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Notes that the process is asked to end, instead of ending at once.

    The second time it ends as it would have the first time.
    """

    def __init__(self):
        self.heard = None
        self._before = {}

    def listen(self):
        """Begins to note; only a process's main thread can."""
        self.heard = None
        if threading.current_thread() is not threading.main_thread():
            return
        for number in NUMBERS:
            before = signal.getsignal(number)
            # What somebody ignores, or handles outside of Python, stays so.
            if before not in (signal.SIG_IGN, None):
                self._before.setdefault(number, before)
                signal.signal(number, self._hear)

    def stop(self):
        """Gives the signals back to those who had them before."""
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    def end(self, message):
        """Ends the process as the signal asks, which Python has it do late.

        Args:
            message: str. What to tell.

        Raises:
            KeyboardInterrupt: For Ctrl-C.
            SystemExit: For SIGTERM, with the shell's code for it, 143.
        """
        number = self.heard
        self.stop()
        message = f"{signal.Signals(number).name}: {message}"
        if number == signal.SIGINT:
            raise KeyboardInterrupt(message)
        os.write(2, f"\n{message}\n".encode())
        raise SystemExit(128 + number)

    def _hear(self, number, frame):
        self.stop()
        if not _is_in_fit(frame):
            # An error has ended the training, which no callback is told.
            os.kill(os.getpid(), number)
            return
        self.heard = number
        # `print` may be what was interrupted.
        os.write(2, b"\nEnding after this step. Again: ending at once.\n")


def _is_in_fit(frame):
    """Whether a frame is called by a `fit`, of Keras or of a placement."""
    while frame is not None:
        if frame.f_code.co_name in ("fit", "_fit"):
            return True
        frame = frame.f_back
    return False
