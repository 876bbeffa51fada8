import pathlib

from keras_mim.data import ImagePipeline
from keras_mim.serving.write_model import write_model


def export_model(model, path, mean, std, crop_ratio, class_names=None):
    """Writes a model with its preprocessing as a SavedModel.

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
    # Checks the preprocessing here, rather than in another process.
    ImagePipeline(
        model.input_shape[1:], 1, crop_ratio=crop_ratio, mean=mean, std=std
    )
    path = pathlib.Path(path)
    if path.exists() and not (path / "saved_model.pb").exists():
        raise ValueError(
            "`path` must be new, or an older SavedModel to replace. "
            f"Received: path={str(path.absolute())!r}, which is something else"
        )
    arguments = {
        "mean": None if mean is None else [float(x) for x in mean],
        "std": None if std is None else [float(x) for x in std],
        "crop_ratio": crop_ratio,
        "class_names": class_names,
    }
    write_model(model, path, "saved_model", arguments)
