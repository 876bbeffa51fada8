import numpy as np

from keras_mim.ops import require


def write(model, path, mean, std):
    """Writes a model's ONNX file; see `export_onnx` and `write_model`."""
    tf = require("tensorflow", "tensorflow")
    tf2onnx = require("tf2onnx", "onnx")

    @tf.function(autograph=False)
    def answer(images):
        return model((images / 255 - mean) / std, training=False)

    pixels = tf.TensorSpec(model.input_shape, "float32", name="images")
    tf2onnx.convert.from_function(
        answer,
        [pixels],
        custom_op_handlers={"Erfc": (_convert_erfc, [])},
        output_path=path,
    )


def _convert_erfc(graph, node, name, args):
    """Writes erfc(x), which ONNX lacks, as 1 - erf(x).

    TensorFlow has it in its exact GELU; where erf(x) is near 1, and the
    difference inexact, GELU multiplies it by something small.
    """
    (x,), (erfc,) = node.input, node.output
    graph.remove_node(node.name)
    erf = graph.make_node("Erf", [x])
    one = graph.make_const(f"{name}_one", np.ones((), "float32"))
    graph.make_node("Sub", [one.output[0], erf.output[0]], outputs=[erfc])
