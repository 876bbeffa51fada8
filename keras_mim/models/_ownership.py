"""What belongs to one model: its masking, head and target, not its encoder."""

import weakref

from keras_mim.encoders import Encoder
from keras_mim.layers import Head
from keras_mim.masking import Masking
from keras_mim.targets import Target

CLASSES = {
    "encoder": Encoder,
    "masking": Masking,
    "head": Head,
    "target": Target,
}
# The parts that are a model's already.
_owned = weakref.WeakSet()


def check_parts(**parts):
    """Raises a `ValueError` unless parts are of their kind, and free.

    Args:
        **parts: The model's parts, named as in `CLASSES`.
    """
    for name, part in parts.items():
        kind = CLASSES[name]
        if not isinstance(part, kind):
            package = kind.__module__.split(".")[1]
            raise ValueError(
                f"`{name}` must be a `keras_mim.{package}.{kind.__name__}`. "
                f"Received: {name}={part!r}"
            )
        if part in _owned:
            raise ValueError(
                f"`{name}` is another model's already. An encoder can be "
                "shared, but masking, head and target belong to one model: "
                f"make another `{type(part).__name__}`. "
                f"Received: {name}={part!r}"
            )


def claim(*parts):
    """Notes that parts are a model's from now on."""
    _owned.update(parts)


def complete(part, **values):
    """Gives a part what it leaves open, and checks what it does not.

    Args:
        part: Masking, head or target.
        **values: What the model knows, by attribute of the part.
    """
    for name, value in values.items():
        given = getattr(part, name)
        if given is None:
            setattr(part, name, value)
        elif given != value:
            raise ValueError(
                f"`{name}` of `{type(part).__name__}` must be that of the "
                f"encoder and target it works with, {value}. "
                f"Received: {name}={given}"
            )
