import keras
from keras import ops


def probability_model(classifier):
    """Returns the model of a classifier that is served.

    From normalized pixels to a dict of `probabilities`, float32; the argument
    is that of `export_classifier`.
    """
    images = keras.Input(classifier.input_shape[1:], name="images")
    logits = ops.cast(classifier(images), "float32")
    return keras.Model(images, {"probabilities": ops.softmax(logits)})
