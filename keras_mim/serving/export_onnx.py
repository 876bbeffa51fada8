from keras_mim._requirements import require
from keras_mim.serving._embedding_model import embedding_model
from keras_mim.serving._one_file import check_one_file
from keras_mim.serving._write_model import write_model
from keras_mim.transfer._pooling import check_encoder


def export_onnx(encoder, path, pooling=None):
    """Writes an encoder as an ONNX file with its normalisation inside.

    For ONNX Runtime and what else reads the format. `encoder.export(path,
    format="onnx")` is not enough: it leaves normalisation and pooling to the
    caller, and on JAX it needs another converter.

    The file has the input `images`, float32 pixels in [0, 255] of shape
    `(batch_size, height, width, channels)`, of any batch size and the
    encoder's size; and the outputs `embedding` and `tokens` of
    `export_encoder`. Like that, it works from every backend through
    TensorFlow, and a failed export leaves `path` as it was. Needs
    `pip install "keras-mim[onnx]"`.

    Args:
        encoder: `keras_mim.encoders.Encoder`, in float32 and smaller than
            2 GB, the most that an ONNX file holds: ViT-L and Swin-L are, ViT-H
            is not.
        path: str or path. File to write; an older one is replaced.
        pooling: str or `None`. What `embedding` is: `"cls"`, the class token,
            or `"mean"`, the mean of the patch tokens. `None` is the class
            token where the encoder has one and its paper uses it, else the
            mean: `encoder.default_pooling`. Defaults to `None`.

    Example:

    >>> keras_mim.serving.export_onnx(mae.encoder, "encoder.onnx")
    >>> session = onnxruntime.InferenceSession("encoder.onnx")
    >>> embedding, tokens = session.run(
    ...     ["embedding", "tokens"], {"images": pixels}
    ... )
    """
    check_encoder(encoder)
    require("tf2onnx", "onnx")
    if encoder.compute_dtype != "float32":
        raise ValueError(
            "`encoder` must compute in float32: load it with the dtype policy "
            f'"float32". Received: compute_dtype={encoder.compute_dtype!r}'
        )
    path = check_one_file("encoder", encoder, path, "an ONNX file")
    arguments = {"normalization": encoder.normalization.get_config()}
    model = embedding_model(encoder, pooling)
    write_model(model, path, "_onnx_file", arguments)
