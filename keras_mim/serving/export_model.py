import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import keras

from keras_mim.data import ImagePipeline
from keras_mim.ops import require


def export_model(model, path, mean, std, crop_ratio, class_names=None):
    """Writes a model with its preprocessing, or leaves `path` as it was.

    What `export_encoder` and `export_classifier` share; they say what the
    arguments mean.

    Args:
        model: `keras.Model` from normalised pixels to a dict of outputs.
        path: str or path.
        mean: sequence of float or `None`.
        std: sequence of float or `None`.
        crop_ratio: float.
        class_names: list of str or `None`. With these, the output
            `class_name` is added, of the greatest of `probabilities`.
    """
    require("tensorflow", "tensorflow")
    # Checks the preprocessing here, rather than in another process.
    ImagePipeline(
        model.input_shape[1:], 1, crop_ratio=crop_ratio, mean=mean, std=std
    )
    path = pathlib.Path(path).absolute()
    if path.exists() and not (path / "saved_model.pb").exists():
        raise ValueError(
            "`path` must be new, or an older SavedModel to replace. "
            f"Received: path={str(path)!r}, which is something else"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = {
        "mean": None if mean is None else [float(x) for x in mean],
        "std": None if std is None else [float(x) for x in std],
        "crop_ratio": crop_ratio,
        "class_names": class_names,
    }
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=f".{path.name}-"
    ) as folder:
        folder = pathlib.Path(folder)
        _write(model, folder, arguments)
        if path.exists():
            shutil.move(path, folder / "old")
        (folder / "new").rename(path)


def _write(model, folder, arguments):
    if keras.backend.backend() == "tensorflow":
        from keras_mim.serving.saved_model import write_saved_model

        write_saved_model(model, str(folder / "new"), **arguments)
        return
    model.save(folder / "model.keras")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        # The training process may hold all of the GPU's memory.
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path),
    }
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "keras_mim.serving.saved_model",
            str(folder / "model.keras"),
            str(folder / "new"),
            json.dumps(arguments),
        ],
        env=environment,
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(
            "TensorFlow could not export the model. Its process printed:\n"
            f"{run.stderr[-4000:]}"
        )
