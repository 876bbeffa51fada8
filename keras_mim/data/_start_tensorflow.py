import contextlib
import os

import keras

from keras_mim._requirements import require


def start_tensorflow():
    """Sets TensorFlow to one thread for each operation.

    Images are prepared in parallel. To share out the rows of each between
    threads on top of that costs more than it gains: one thread for each makes
    1.4 times as many images a second on two cores. The setting is the
    process's, so it is left alone where TensorFlow trains on the CPU too, where
    it is at work already, and where a number was chosen, by `tf.config` or
    `TF_NUM_INTRAOP_THREADS`.

    Returns:
        The module `tensorflow`.

    Raises:
        ImportError: If TensorFlow is not installed.
    """
    tf = require("tensorflow")
    trains_on_cpu = keras.backend.backend() == "tensorflow" and not (
        tf.config.list_physical_devices("GPU")
    )
    threading = tf.config.threading
    chosen = threading.get_intra_op_parallelism_threads() or (
        "TF_NUM_INTRAOP_THREADS" in os.environ
    )
    if not trains_on_cpu and not chosen:
        # Refused once TensorFlow is at work.
        with contextlib.suppress(RuntimeError):
            threading.set_intra_op_parallelism_threads(1)
    return tf
