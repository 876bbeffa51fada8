"""Tries wrong arguments, one at a time, in calls that are right otherwise."""

import contextlib
import dataclasses
import functools
import re
import signal
import warnings

import keras

import keras_mim
from tests.arguments.calls import OBJECTS
from tests.arguments.calls import base_calls
from tests.arguments.calls import object_of
from tests.arguments.values import right_values
from tests.arguments.values import wrong_values

# What cannot be done here: what is read is missing, or it takes long.
NOT_RUN = ("converters.load_", "data.ImagePipeline.from_tfds")
NOT_RUN += ("distribution.Placement.fit", "serving.")
OUTCOMES = ("named", "unnamed", "raw", "taken", "hang", "crash")
SECONDS = 20


@dataclasses.dataclass(frozen=True)
class Trial:
    """One call with one argument of another value.

    Attributes:
        call: str. A name of `base_calls`.
        argument: str. Which argument.
        value: What it is given.
    """

    call: str
    argument: str
    value: object

    def __str__(self):
        value = " ".join(repr(self.value).split())[:60]
        return f"{self.call}({self.argument}={value})"


class Hang(BaseException):
    """A call that takes too long."""


def wrong_trials():
    """Returns all calls that must be refused."""
    return [
        Trial(call, argument, value)
        for call, arguments in base_calls().items()
        for argument, (kind, right, *more) in arguments.items()
        for value in [*wrong_values(kind, right), *(more[0] if more else ())]
    ]


def right_trials():
    """Returns calls with NumPy's numbers, and with lists for tuples."""
    return [
        Trial(call, argument, value)
        for call, arguments in base_calls().items()
        if not call.startswith(NOT_RUN) and not call.endswith("()")
        for argument, (kind, right, *_) in arguments.items()
        for value in right_values(kind, right)
    ]


def run(trial):
    """Makes a call.

    Args:
        trial: `Trial`.

    Returns:
        tuple of str: one of `OUTCOMES`, and what was said.
    """
    try:
        with _alarm(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = call(trial.call, **{trial.argument: trial.value})
            if isinstance(result, contextlib.AbstractContextManager):
                with result:
                    pass
    except Hang:
        return "hang", ""
    except ValueError as error:
        words = re.findall(r"\w+", str(error))
        return "named" if trial.argument in words else "unnamed", str(error)
    except Exception as error:
        return "raw", f"{type(error).__name__}: {error}"
    return "taken", ""


def call(name, /, **changes):
    """Calls what a name of `base_calls` stands for.

    Args:
        name: str.
        **changes: Arguments that are other ones.

    Returns:
        What it returns.
    """
    arguments = {
        argument: right
        for argument, (kind, right, *_) in base_calls()[name].items()
        if kind != "unknown"
    }
    arguments.update(changes)
    if not name.endswith("()"):
        return _found(name)(**arguments)
    # Tensors by position, as Keras has it.
    numbers = {k: arguments.pop(k) for k in ("num_visible",) if k in arguments}
    return _made(name)(*arguments.values(), **numbers)


def _made(name):
    """Returns what `"package.Class()"` calls."""
    if name in OBJECTS:
        return object_of(name)
    thing = _found(name[:-2])
    if issubclass(thing, keras.Model) or name.startswith("data."):
        return _kept(name[:-2])
    return call(name[:-2])


@functools.cache
def _kept(name):
    return call(name)


def _found(name):
    """Returns what a dotted name stands for, a method with its object."""
    owner, _, method = name.rpartition(".")
    thing = keras_mim
    for part in name.split("."):
        thing = getattr(thing, part)
    if owner in OBJECTS and not isinstance(thing, type):
        return getattr(object_of(owner), method)
    return thing


@contextlib.contextmanager
def _alarm():
    def ring(*_):
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
