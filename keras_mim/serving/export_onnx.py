import pathlib

from keras_mim.ops import channel_statistics
from keras_mim.ops import require
from keras_mim.serving.embedding_model import embedding_model
from keras_mim.serving.write_model import write_model


def export_onnx(encoder, path, pooling="cls", mean=None, std=None):
    """Writes an encoder as an ONNX file with its normalisation inside.

    For ONNX Runtime and what else reads the format. `encoder.export(path,
    format="onnx")` is not enough: it leaves normalisation and pooling to the
    caller, on JAX it needs another converter, and on torch it fails.

    The file has the input `images`, float32 pixels in [0, 255] of shape
    `(batch_size, height, width, channels)`, of any batch size and the
    encoder's size; and the outputs `embedding` and `tokens` of
    `export_encoder`. Like that, it works from every backend through
    TensorFlow, and a failed export leaves `path` as it was. Needs
    `pip install "keras-mim[onnx]"`.

    Args:
        encoder: `keras_mim.encoders.ViT` or a model with its attributes, in
            float32 and smaller than 2 GB, the most that an ONNX file holds:
            ViT-L and Swin-L are, ViT-H is not.
        path: str or path. File to write; an older one is replaced.
        pooling: str. What `embedding` is: `"cls"`, the class token, or
            `"mean"`, the mean of the patch tokens. Defaults to `"cls"`.
        mean: sequence of float or `None`. What is subtracted from pixels in
            [0, 1], per channel. It must be what the encoder was trained with.
            `None` is as in `keras_mim.ops.channel_statistics`.
        std: sequence of float or `None`. What they are divided by.

    Example:

    >>> keras_mim.serving.export_onnx(mae.encoder, "encoder.onnx")
    >>> session = onnxruntime.InferenceSession("encoder.onnx")
    >>> embedding, tokens = session.run(
    ...     ["embedding", "tokens"], {"images": pixels}
    ... )
    """
    require("tf2onnx", "onnx")
    mean, std = channel_statistics(encoder.image_shape[2], mean, std)
    if encoder.compute_dtype != "float32":
        raise ValueError(
            "`encoder` must compute in float32: load it with the dtype policy "
            f'"float32". Received: compute_dtype={encoder.compute_dtype!r}'
        )
    size = 4 * encoder.count_params()
    if size >= 2**31:
        raise ValueError(
            "`encoder` must be smaller than 2 GB, the most that an ONNX file "
            f"holds. Received: an encoder of {size / 1e9:.1f} GB"
        )
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(
            f"`path` must be a file. Received: path={str(path)!r}, a folder"
        )
    arguments = {"mean": mean.tolist(), "std": std.tolist()}
    model = embedding_model(encoder, pooling)
    write_model(model, path, "onnx_file", arguments)
