import argparse
import collections
import pickle
import re
import zipfile

import numpy as np

from keras_mim._requirements import require

# Where PyTorch names what it refused. The rest of its message says how to run
# the code all the same.
REFUSED = re.compile(r"[Uu]nsupported [^\n]*?(?= was not|\n|$)")
REASON = re.compile(r"WeightsUnpickler error:\s*([^\n]*)")


def read_torch(path):
    """Reads a PyTorch file, refusing everything that could run code.

    Args:
        path: `pathlib.Path`.

    Returns:
        What was saved: usually a dict of tensors, or a dict that holds one.

    Raises:
        ValueError: If the file holds code, or is damaged.
    """
    torch = require("torch", "convert")
    check_sums(path)
    # Plain containers that training scripts save beside the weights: MAE's
    # arguments, SimMIM's options, a dict of a class of their own, and the best
    # accuracy as a NumPy number.
    scalar = np.float64(0).__reduce__()[0]
    harmless = [
        argparse.Namespace,
        (collections.OrderedDict, "yacs.config.CfgNode"),
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *(type(np.dtype(name)) for name in ("float32", "float64", "int64")),
    ]
    try:
        with torch.serialization.safe_globals(harmless):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = REFUSED.search(str(error))
        if refused is None:
            reason = REASON.search(str(error))
            raise ValueError(
                f"{path} is not a whole PyTorch file: "
                f"{reason[1] if reason else error}"
            ) from error
        raise ValueError(
            f"{path} holds more than tensors and could run code when it is "
            "loaded, so it is refused. Save the state dict alone: "
            f"torch.save(model.state_dict(), path). Found: {refused[0]}"
        ) from error
    # A damaged file fails in whatever way its bytes happen to ask for.
    except Exception as error:
        raise ValueError(
            f"{path} is not a whole PyTorch file: {error!r}"
        ) from error


def check_sums(path):
    """Raises if a record of a zipped file is not what was written.

    PyTorch writes check sums and does not read them: a flipped bit would
    become a weight.
    """
    if not zipfile.is_zipfile(path):
        return  # PyTorch's format before 1.6 has no check sums.
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except Exception as error:  # Whatever a damaged archive raises.
        raise ValueError(
            f"{path} is not a whole PyTorch file: {error!r}"
        ) from error
    if damaged:
        raise ValueError(
            f"{path} is damaged: {damaged!r} does not have the check sum that "
            "was written with it"
        )
