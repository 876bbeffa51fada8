import keras

from keras_mim._checks import check_choice
from keras_mim.encoders import Encoder
from keras_mim.serving._embedding_model import embedding_model
from keras_mim.serving._normalization import find_normalization
from keras_mim.serving._one_file import check_one_file
from keras_mim.serving._probability_model import probability_model
from keras_mim.serving._write_model import write_model


def export_litert(
    model, path, quantization=None, pooling=None, normalization=None
):
    """Writes an encoder or a classifier as a LiteRT (TFLite) file.

    For phones and small computers. The file needs the LiteRT runtime alone
    (`pip install ai-edge-litert`): all of its operators are LiteRT's own.
    `model.export(path, format="litert")` is not enough: what it writes of our
    encoders needs operators of TensorFlow, it leaves normalization and pooling
    to the caller, it fails on JAX, and on torch it needs another converter.

    The file has the signature `serving_default` with the input `images`:
    float32 pixels in [0, 255] of shape `(batch_size, height, width, channels)`,
    of any batch size and the model's size. Its outputs are float32:

    - of an encoder `embedding` and `tokens`, those of `export_encoder`;
    - of a classifier `probabilities`, of shape `(batch_size, num_classes)`. The
      names of its classes, if it has any, are in `labels.txt`, in the order of
      the probabilities: the file is also a zip archive of that.

    Works from every backend, through TensorFlow, and a failed export leaves
    `path` as it was, as with `export_encoder`. LoRA is merged. A layer of your
    own that LiteRT has no operator for is an error of its converter, which
    names the operator.

    Args:
        model: `keras_mim.encoders.Encoder`, or a classifier: a `keras.Model`
            from normalized pixels to logits, as in `export_classifier`. In
            float32, not quantized, and smaller than 2 GB, the most that such a
            file holds.
        path: str or path. File to write; an older one is replaced.
        quantization: str or `None`. `None` writes float32. `"int8"` writes the
            kernels in 8 bits, a quarter of their size, and rounds activations
            to 8 bits where they meet a kernel, by their range as it comes
            (dynamic range): no images are needed to calibrate it. Ranges fixed
            by such images were further from float32: see
            benchmarks/export_litert.py. Defaults to `None`.
        pooling: str or `None`. What `embedding` is, of an encoder; see
            `export_encoder`. Defaults to `None`.
        normalization: `keras_mim.Normalization` or `None`. Of a classifier
            that holds no encoder; see `export_classifier`. Defaults to `None`.

    Raises:
        ValueError: If an argument is wrong; nothing is written then.

    Example:

    >>> keras_mim.serving.export_litert(mae.encoder, "encoder.tflite")
    >>> from ai_edge_litert.interpreter import Interpreter
    >>> run = Interpreter("encoder.tflite").get_signature_runner()
    >>> embedding = run(images=pixels)["embedding"]

    >>> keras_mim.serving.export_litert(classifier, "cats.tflite", "int8")
    >>> names = zipfile.ZipFile("cats.tflite").read("labels.txt").decode()
    """
    check_choice("quantization", quantization, (None, "int8"))
    _check_model(model)
    path = check_one_file("model", model, path, "a LiteRT file")
    arguments = {
        "normalization": find_normalization(model, normalization).get_config(),
        "quantization": quantization,
        "class_names": getattr(model, "class_names", None),
    }
    if isinstance(model, Encoder):
        served = embedding_model(model, pooling)
    elif pooling is not None:
        raise ValueError(
            "`pooling` is for encoders: a classifier pools by itself. "
            f"Received: pooling={pooling!r}, model={model!r}"
        )
    else:
        served = probability_model(model)
    write_model(served, path, "_litert_file", arguments)


def _check_model(model):
    """Raises a `ValueError` unless LiteRT can hold a model."""
    shape = getattr(model, "output_shape", None)
    gives_logits = isinstance(shape, tuple) and len(shape) == 2
    if not isinstance(model, Encoder) and not (
        isinstance(model, keras.Model) and gives_logits
    ):
        raise ValueError(
            "`model` must be a `keras_mim.encoders.Encoder`, or a "
            "`keras.Model` from images to logits; of a masked image model "
            f"pass `model.encoder`. Received: model={model!r}"
        )
    for layer in model._flatten_layers():
        if layer.quantization_mode is not None:
            raise ValueError(
                "`model` must not be quantized by Keras: pass the one that it "
                "was made from, and `quantization`. Received: "
                f"`{layer.path}` with "
                f"quantization_mode={layer.quantization_mode!r}"
            )
        if layer.compute_dtype != "float32":
            raise ValueError(
                "`model` must compute in float32: load it with the dtype "
                f'policy "float32". Received: `{layer.path}` with '
                f"compute_dtype={layer.compute_dtype!r}"
            )
