import keras
from keras import ops

from keras_mim.serving.export_model import export_model


def export_classifier(
    classifier, path, class_names, mean=None, std=None, crop_ratio=0.875
):
    """Writes a classifier as a SavedModel with its preprocessing inside.

    As `export_encoder`, with the same signatures: `serving_default`, float32
    pixels; `uint8_images`; and `encoded_images`, JPEG, PNG, WebP or BMP files
    of any size. All return `class_name`, strings of shape `(batch_size,)`, and
    `probabilities`, float32 of shape `(batch_size, num_classes)`, in the order
    of `class_names`.

    Args:
        classifier: `keras.Model` from normalised pixels to logits:
            `keras_mim.transfer.Classifier`, `LinearProbe`, or what its `folded`
            returns.
        path: str or path. Folder to write; an older export is replaced.
        class_names: sequence of str. Names of the classes, in the order of the
            logits.
        mean: sequence of float or `None`. What is subtracted from pixels in
            [0, 1], per channel. It must be what the classifier was trained
            with. `None` is as in `keras_mim.ops.channel_statistics`.
        std: sequence of float or `None`. What they are divided by.
        crop_ratio: float. Share of the short side that the centre crop of
            encoded images keeps. Defaults to `0.875`.

    Example:

    >>> keras_mim.serving.export_classifier(model, "served", ["cat", "dog"])
    >>> served = tf.saved_model.load("served")
    >>> served.signatures["encoded_images"](images=[jpeg])["class_name"]
    """
    num_classes = classifier.output_shape[-1]
    class_names = [str(name) for name in class_names]
    if len(class_names) != num_classes:
        raise ValueError(
            f"`class_names` must name each of the {num_classes} classes. "
            f"Received: {len(class_names)} names"
        )
    images = keras.Input(classifier.input_shape[1:], name="images")
    logits = ops.cast(classifier(images), "float32")
    model = keras.Model(images, {"probabilities": ops.softmax(logits)})
    export_model(model, path, mean, std, crop_ratio, class_names)
