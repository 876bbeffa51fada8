from keras_mim.serving._embedding_model import embedding_model
from keras_mim.serving._export_model import export_model


def export_encoder(encoder, path, pooling=None, crop_ratio=0.875):
    """Writes an encoder as a SavedModel with its preprocessing inside.

    What it writes needs tensorflow alone, neither Keras nor keras_mim. All
    its signatures take any batch size and return `embedding`, float32 of
    shape `(batch_size, output_dim)`, and `tokens`, the encoder's output,
    float32 of shape `(batch_size, num_tokens, output_dim)`:

    - `serving_default`: `images`, float32 pixels in [0, 255] of shape
      `(batch_size, height, width, channels)`, the encoder's size.
    - `uint8_images`: the same as uint8.
    - `encoded_images`: `images`, strings of shape `(batch_size,)`: JPEG, PNG,
      WebP or BMP files of any size, which are decoded, cropped in the centre
      and resized as `keras_mim.data.ImagePipeline(augment=False)` does it.
      It returns `valid` too, bool of shape `(batch_size,)`: where a file cannot
      be read it is false, and the other outputs are zeros. Only there for
      encoders of 1 or 3 channels.

    Works from every backend. Trained on JAX or torch, the encoder goes
    through a `.keras` file to a process of its own that runs TensorFlow, so
    that the result is a plain TensorFlow graph. That process imports the
    modules that classes of your own are defined in.

    The model is written beside `path` and moved into place: a failed export
    leaves `path` as it was.

    Args:
        encoder: `keras_mim.encoders.Encoder`. Pixels are normalized as its
            `normalization` says.
        path: str or path. Folder to write; an older export is replaced.
        pooling: str or `None`. What `embedding` is: `"cls"`, the class token,
            or `"mean"`, the mean of the patch tokens. `None` is the class
            token where the encoder has one and its paper uses it, else the
            mean: `encoder.default_pooling`. Defaults to `None`.
        crop_ratio: float. Share of the short side that the centre crop of
            encoded images keeps. Defaults to `0.875`, MAE's 224 of 256.

    Example:

    >>> keras_mim.serving.export_encoder(mae.encoder, "encoder")
    >>> served = tf.saved_model.load("encoder")
    >>> served.signatures["encoded_images"](images=[jpeg])["embedding"]
    """
    model = embedding_model(encoder, pooling)
    export_model(model, path, encoder.normalization, crop_ratio)
