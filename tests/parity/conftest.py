import importlib
import json
import os
import pathlib
import sys

from tests.parity import record


def import_torchvision():
    """Makes torchvision import beside a CPU build of torch.

    The registry's torchvision is built for CUDA. Its operators do not load
    there, and it stops at the first that it describes and does not find; timm
    and lightly, and transformers where it is installed, import it all the same.
    """
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return None
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    else:
        return None
    import torch

    for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor a, Tensor b, float c) -> Tensor")
    importlib.import_module("torchvision")
    return library  # Its definitions go with it.


LIBRARY = import_torchvision()


def pytest_sessionfinish():
    folder = os.environ.get("KERAS_MIM_PARITY_OUTPUT")
    if folder and record.differences:
        # Tests may run in several processes, each of which has its part.
        path = pathlib.Path(folder) / f"{os.getpid()}.json"
        path.write_text(json.dumps(record.differences, indent=2))
