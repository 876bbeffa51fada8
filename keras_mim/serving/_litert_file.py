import pathlib
import zipfile

import keras

from keras_mim._requirements import require
from keras_mim.normalization import Normalization
from keras_mim.ops import _on_litert


def write(model, path, normalization, quantization, class_names):
    """Writes a model's LiteRT file; see `export_litert` and `write_model`."""
    tf = require("tensorflow", "tensorflow")
    normalization = Normalization.from_config(normalization)
    images = keras.Input(model.input_shape[1:], name="images")
    served = keras.Model(images, model(normalization.normalize(images / 255)))
    # Operators of TensorFlow's own, which Keras allows, need more than LiteRT.
    options = {
        "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    }
    if quantization == "int8":
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    # Keras wants the ending.
    file = f"{path}.tflite"
    with _on_litert.writing():
        served.export(file, format="litert", verbose=False, **options)
    if class_names:
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("labels.txt", "\n".join(class_names))
    pathlib.Path(file).rename(path)
