import keras

from keras_mim._checks import check_class_names
from keras_mim._checks import check_kind
from keras_mim.serving._export_model import export_model
from keras_mim.serving._normalization import find_normalization
from keras_mim.serving._probability_model import probability_model


def export_classifier(
    classifier, path, class_names=None, normalization=None, crop_ratio=0.875
):
    """Writes a classifier as a SavedModel with its preprocessing inside.

    As `export_encoder`, with the same signatures: `serving_default`, float32
    pixels; `uint8_images`; and `encoded_images`, JPEG, PNG, WebP or BMP files
    of any size. All return `class_name`, strings of shape `(batch_size,)`, and
    `probabilities`, float32 of shape `(batch_size, num_classes)`, in the order
    of `class_names`. A further signature without inputs, `class_names`, returns
    these under that name.

    Args:
        classifier: `keras.Model` from normalized pixels to logits:
            `keras_mim.transfer.Classifier`, `LinearProbe`, or what its `folded`
            returns.
        path: str or path. Folder to write; an older export is replaced.
        class_names: sequence of str or `None`. Names of the classes, in the
            order of the logits. `None` is the classifier's own, which must be
            there. Defaults to `None`.
        normalization: `keras_mim.Normalization` or `None`. How pixels are
            normalized for a model that holds no encoder; `None` is
            `Normalization.for_channels`. A model with an encoder in it is
            served with that encoder's. Defaults to `None`.
        crop_ratio: float. Share of the short side that the centre crop of
            encoded images keeps. Defaults to `0.875`.

    Example:

    >>> keras_mim.serving.export_classifier(model, "served", ["cat", "dog"])
    >>> served = tf.saved_model.load("served")
    >>> served.signatures["encoded_images"](images=[jpeg])["class_name"]
    """
    check_kind(keras.Model, classifier=classifier)
    num_classes = classifier.output_shape[-1]
    if class_names is None:
        class_names = getattr(classifier, "class_names", None)
    if class_names is None:
        raise ValueError(
            "`class_names` must be given for a classifier that was made "
            "without. Received: class_names=None"
        )
    class_names = check_class_names(class_names, num_classes)
    model = probability_model(classifier)
    normalization = find_normalization(classifier, normalization)
    export_model(model, path, normalization, crop_ratio, class_names)
