from keras_mim._requirements import require
from keras_mim.normalization import Normalization


def write(model, path, normalization):
    """Writes a model's ONNX file; see `export_onnx` and `write_model`."""
    tf = require("tensorflow", "tensorflow")
    tf2onnx = require("tf2onnx", "onnx")

    normalization = Normalization.from_config(normalization)

    @tf.function(autograph=False)
    def answer(images):
        return model(normalization.normalize(images / 255), training=False)

    pixels = tf.TensorSpec(model.input_shape, "float32", name="images")
    tf2onnx.convert.from_function(answer, [pixels], output_path=path)
