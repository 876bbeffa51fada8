"""Training on all devices, by the flag --distribution."""

from absl import app
from absl import flags

import keras_mim
from support import training

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(training)
flags.DEFINE_enum(
    "distribution",
    "none",
    ["none", "data", "model"],
    "Use all devices of all hosts: 'data' has the weights on each of them; "
    "'model' (JAX) has a part of weights and optimizer on each.",
)


def start():
    """Joins the other processes; to be called before anything is computed.

    Returns:
        `keras_mim.distribution.Placement`.
    """
    kind = None if FLAGS.distribution == "none" else FLAGS.distribution
    try:
        placement = keras_mim.distribution.start(kind)
        placement.batch_size(FLAGS.batch_size)
    except ValueError as error:
        raise app.UsageError(
            f"--distribution={FLAGS.distribution} "
            f"--batch_size={FLAGS.batch_size}: {error}"
        ) from error
    return placement
