"""Writes a model under TensorFlow, from whichever backend it is on.

Also runs as a program, for models trained on another backend:

    python -m keras_mim.serving._write_model _saved_model m.keras path '{}'
"""

import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import keras

from keras_mim._files import whole
from keras_mim._requirements import require


def write_model(model, path, writer, arguments):
    """Writes a model by one of the writers, or leaves `path` as it was.

    Args:
        model: `keras.Model` from normalized pixels to a dict of outputs.
        path: `pathlib.Path`. What is there already is replaced.
        writer: str. `"_saved_model"`, `"_onnx_file"` or `"_litert_file"`: the
            module whose `write(model, path, **arguments)` is called.
        arguments: dict of what JSON can hold.
    """
    require("tensorflow", "tensorflow")
    path = path.absolute()
    with (
        whole(path) as partial,
        tempfile.TemporaryDirectory(
            dir=path.parent, prefix=f".{path.name}-"
        ) as folder,
    ):
        folder = pathlib.Path(folder)
        _write(model, folder, writer, arguments)
        (folder / "new").rename(partial)


def _write(model, folder, writer, arguments):
    if keras.backend.backend() == "tensorflow":
        _load_writer(writer)(model, str(folder / "new"), **arguments)
        return
    modules = sorted(custom_modules(model))
    if "__main__" in modules:
        raise ValueError(
            "On JAX and torch the export runs in a process of its own, which "
            "cannot import a class that the script itself defines. Move it to "
            f"a module. Received: {custom_modules(model)['__main__']}"
        )
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
            "keras_mim.serving._write_model",
            writer,
            str(folder / "model.keras"),
            str(folder / "new"),
            json.dumps(arguments),
            *modules,
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


def custom_modules(model):
    """Returns the user's modules that a model's layers are defined in.

    Args:
        model: `keras.Model`.

    Returns:
        dict of str to str: by module, the name of a class in it.
    """
    found = {}
    for layer in (model, *model.layers):
        module = type(layer).__module__
        if module.split(".")[0] not in ("keras", "keras_mim"):
            found[module] = type(layer).__name__
        if isinstance(layer, keras.Model) and layer is not model:
            found |= custom_modules(layer)
    return found


def _load_writer(writer):
    return importlib.import_module(f"keras_mim.serving.{writer}").write


def main():
    # Registers the layers that the file is made of.
    import keras_mim  # noqa: F401

    writer, source, path, arguments, *modules = sys.argv[1:]
    # Registers the layers that a user wrote.
    for module in modules:
        importlib.import_module(module)
    model = keras.saving.load_model(source, compile=False)
    _load_writer(writer)(model, path, **json.loads(arguments))


if __name__ == "__main__":
    main()
