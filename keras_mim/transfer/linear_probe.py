import keras
from keras import ops

from keras_mim._checks import check_class_names
from keras_mim._checks import check_counts
from keras_mim.targets._teachers import freeze
from keras_mim.transfer._encoder_head import EncoderHead
from keras_mim.transfer._features import Features
from keras_mim.transfer._features import FoldedProbe
from keras_mim.transfer._pooling import resolve_pooling


def make_norm():
    """Returns the probe's batch norm, without scale and shift."""
    # PyTorch's momentum of 0.1.
    return keras.layers.BatchNormalization(
        momentum=0.9,
        epsilon=1e-6,
        center=False,
        scale=False,
        dtype="float32",
        name="norm",
    )


def make_dense(num_classes, name):
    """Returns the probe's linear layer, as it starts."""
    return keras.layers.Dense(
        int(num_classes),
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype="float32",
        name=name,
    )


@keras.saving.register_keras_serializable(package="keras_mim")
class LinearProbe(EncoderHead):
    """Classifies images by a linear layer on a frozen encoder.

    A plain functional model of two, which can be used apart:

    - `features`, from images to `(batch_size, dim)`: a frozen copy of the
      encoder, and pooling;
    - `head`, from features to logits: batch norm without scale and shift, and a
      dense layer.

    Fitting the whole sees each crop anew, as papers do. Fitting the head on
    features that were computed once, by `extract_features`, takes minutes
    instead of hours.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), appendix
    A.1: the batch norm evens out what the encoders of different methods give.
    (Keras's moving variance is the population's, PyTorch's the sample's: for a
    batch of n the two differ by n / (n - 1).)

    Args:
        encoder: `keras_mim.encoders.Encoder`. It is copied, and stays as it
            is.
        num_classes: int. Number of classes.
        pooling: str or `None`. `"cls"`, the class token, as MAE's numbers
            are, or `"mean"`, the mean of the patch tokens. `None` is the class
            token where the encoder has one and its paper uses it, else the
            mean: `encoder.default_pooling`. Defaults to `None`.
        class_names: sequence of str or `None`. Names of the classes, in the
            order of the logits: `class_names` of the data set that it is
            trained on. They are saved with it. Defaults to `None`.

    Input shape: `(batch_size, height, width, channels)`: normalized
    pixels, or bytes (uint8).

    Output shape: `(batch_size, num_classes)`, logits, float32.

    Example:

    >>> probe = keras_mim.transfer.LinearProbe(mae.encoder, num_classes=10)
    >>> features, labels = keras_mim.transfer.extract_features(
    ...     probe.features, batches
    ... )
    >>> probe.head.compile(
    ...     optimizer=keras_mim.optimizers.LARS(0.1),
    ...     loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ... )
    >>> probe.head.fit(features, labels, batch_size=256, epochs=90)
    >>> probe.folded().save("classifier.keras")
    """

    def __init__(
        self,
        encoder,
        num_classes,
        pooling=None,
        class_names=None,
        name="linear_probe",
        **kwargs,
    ):
        check_counts(num_classes=num_classes)
        class_names = check_class_names(class_names, num_classes)
        pooling = resolve_pooling(encoder, pooling)
        # The encoder is judged as it is used. (`training=False` would not do:
        # a functional model tells all its layers whether it is trained.)
        still = {"drop_path_rate": 0.0} if encoder.drop_path_rate else {}
        encoder = encoder.copy(**still)
        features = Features(encoder, pooling)
        images = keras.Input(encoder.image_shape, name="images")
        norm, dense = make_norm(), make_dense(num_classes, "dense")
        inputs = keras.Input(features.output_shape[1:], name="features")
        head = keras.Model(inputs, dense(norm(inputs)), name="head")
        # Weights files name a part by its class: this one is a plain model.
        plain = keras.Model(features.input, features.output, name="features")
        super().__init__(images, head(plain(images)), name=name, **kwargs)
        freeze(encoder)

        self.encoder = encoder
        self.num_classes = num_classes
        self.pooling = pooling
        self.class_names = class_names
        self.features = features
        self.head = head
        self.norm = norm
        self.dense = dense

    def folded(self):
        """Returns a model that computes the same without batch norm.

        Its moments become a part of the dense layer's weights. The encoder is
        shared.

        Returns:
            A functional `keras.Model` from images to logits, which has the
            attributes `encoder` and `normalization` too.
        """
        kernel, bias = (ops.convert_to_numpy(w) for w in self.dense.weights)
        mean = ops.convert_to_numpy(self.norm.moving_mean)
        variance = ops.convert_to_numpy(self.norm.moving_variance)
        kernel = kernel / ((variance + self.norm.epsilon) ** 0.5)[:, None]
        model = FoldedProbe(
            self.encoder, self.num_classes, self.pooling, self.class_names
        )
        model.head.set_weights([kernel, bias - mean @ kernel])
        return model
