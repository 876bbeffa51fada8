from keras_mim.ops import require


def write(model, path, mean, std):
    """Writes a model's ONNX file; see `export_onnx` and `write_model`."""
    tf = require("tensorflow", "tensorflow")
    tf2onnx = require("tf2onnx", "onnx")

    @tf.function(autograph=False)
    def answer(images):
        return model((images / 255 - mean) / std, training=False)

    pixels = tf.TensorSpec(model.input_shape, "float32", name="images")
    tf2onnx.convert.from_function(answer, [pixels], output_path=path)
