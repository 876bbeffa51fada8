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
from keras_mim.transfer.pooling import check_pooling


def export_encoder(
    encoder, path, pooling="cls", mean=None, std=None, crop_ratio=0.875
):
    """Writes an encoder as a SavedModel with its preprocessing inside.

    What it writes needs tensorflow alone, neither Keras nor keras_mim. All
    its signatures take any batch size and return `embedding`, float32 of
    shape `(batch_size, hidden_dim)`, and `tokens`, float32 of shape
    `(batch_size, num_prefix_tokens + num_patches, hidden_dim)`:

    - `serving_default`: `images`, float32 pixels in [0, 255] of shape
      `(batch_size, height, width, channels)`, the encoder's size.
    - `uint8_images`: the same as uint8.
    - `encoded_images`: `images`, strings of shape `(batch_size,)`: JPEG, PNG,
      WebP or BMP files of any size, which are decoded, cropped in the centre
      and resized as `keras_mim.data.ImagePipeline(augment=False)` does it.
      Only there for encoders of 1 or 3 channels.

    Works from every backend. Trained on JAX or torch, the encoder goes
    through a `.keras` file to a process of its own that runs TensorFlow, so
    that the result is a plain TensorFlow graph.

    The model is written beside `path` and moved into place: a failed export
    leaves `path` as it was.

    Args:
        encoder: `keras_mim.encoders.ViT` or a model with its attributes.
        path: str or path. Folder to write; an older export is replaced.
        pooling: str. What `embedding` is: `"cls"`, the class token, or
            `"mean"`, the mean of the patch tokens. Defaults to `"cls"`.
        mean: sequence of float or `None`. What is subtracted from pixels in
            [0, 1], per channel. It must be what the encoder was trained with.
            `None` is as in `keras_mim.ops.channel_statistics`.
        std: sequence of float or `None`. What they are divided by.
        crop_ratio: float. Share of the short side that the centre crop of
            encoded images keeps. Defaults to `0.875`, MAE's 224 of 256.

    Example:

    >>> keras_mim.serving.export_encoder(mae.encoder, "encoder")
    >>> served = tf.saved_model.load("encoder")
    >>> served.signatures["encoded_images"](images=[jpeg])["embedding"]
    """
    require("tensorflow", "tensorflow")
    check_pooling(encoder, pooling)
    # Checks the preprocessing here, rather than in another process.
    ImagePipeline(
        encoder.image_shape, 1, crop_ratio=crop_ratio, mean=mean, std=std
    )
    path = pathlib.Path(path).absolute()
    if path.exists() and not (path / "saved_model.pb").exists():
        raise ValueError(
            "`path` must be new, or an older SavedModel to replace. "
            f"Received: path={str(path)!r}, which is something else"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = {
        "pooling": pooling,
        "mean": None if mean is None else [float(x) for x in mean],
        "std": None if std is None else [float(x) for x in std],
        "crop_ratio": crop_ratio,
    }
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=f".{path.name}-"
    ) as folder:
        folder = pathlib.Path(folder)
        _write(encoder, folder, arguments)
        if path.exists():
            shutil.move(path, folder / "old")
        (folder / "new").rename(path)


def _write(encoder, folder, arguments):
    if keras.backend.backend() == "tensorflow":
        from keras_mim.serving.saved_model import write_saved_model

        write_saved_model(encoder, str(folder / "new"), **arguments)
        return
    encoder.save(folder / "encoder.keras")
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
            str(folder / "encoder.keras"),
            str(folder / "new"),
            json.dumps(arguments),
        ],
        env=environment,
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(
            "TensorFlow could not export the encoder. Its process printed:\n"
            f"{run.stderr[-4000:]}"
        )
