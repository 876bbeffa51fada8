import pathlib

from keras_mim._checks import check_path
from keras_mim.data import ImagePipeline
from keras_mim.serving._write_model import write_model


def export_model(model, path, normalization, crop_ratio, class_names=None):
    """Writes a model with its preprocessing as a SavedModel.

    What `export_encoder` and `export_classifier` share; they say what the
    arguments mean.

    Args:
        model: `keras.Model` from normalized pixels to a dict of outputs.
        path: str or path.
        normalization: `Normalization`.
        crop_ratio: float.
        class_names: list of str or `None`. With these, the output
            `class_name` is added, of the greatest of `probabilities`.
    """
    check_path(path=path)
    # Checks the preprocessing here, rather than in another process.
    ImagePipeline(model.input_shape[1:], 1, crop_ratio=crop_ratio)
    path = pathlib.Path(path)
    if path.exists() and not (path / "saved_model.pb").exists():
        raise ValueError(
            "`path` must be new, or an older SavedModel to replace. "
            f"Received: path={str(path.absolute())!r}, which is something else"
        )
    arguments = {
        "normalization": normalization.get_config(),
        "crop_ratio": float(crop_ratio),
        "class_names": class_names,
    }
    write_model(model, path, "_saved_model", arguments)
