import keras
from keras import ops

from keras_mim.targets.feature_target import freeze
from keras_mim.transfer.copied import copied
from keras_mim.transfer.encoder_head import EncoderHead
from keras_mim.transfer.pooling import check_head
from keras_mim.transfer.pooling import pooled


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
        num_classes,
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
        encoder: An encoder of `keras_mim.encoders`. It is copied, and stays as
            it is.
        num_classes: int. Number of classes.
        pooling: str. `"cls"`, the class token, as MAE's numbers are; or
            `"mean"`, the mean of the patch tokens. Defaults to `"cls"`.

    Input shape: `(batch_size, height, width, channels)`, normalised pixels.

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
        pooling="cls",
        name="linear_probe",
        **kwargs,
    ):
        check_head(encoder, num_classes, pooling)
        # The encoder is judged as it is used. (`training=False` would not do:
        # a functional model tells all its layers whether it is trained.)
        encoder = copied(encoder, drop_path_rate=0.0)
        images = keras.Input(encoder.image_shape, name="images")
        tokens = encoder(images)
        features = keras.Model(
            images,
            ops.cast(pooled(tokens, encoder, pooling), "float32"),
            name="features",
        )
        norm, dense = make_norm(), make_dense(num_classes, "dense")
        inputs = keras.Input(features.output_shape[1:], name="features")
        head = keras.Model(inputs, dense(norm(inputs)), name="head")
        super().__init__(images, head(features(images)), name=name, **kwargs)
        freeze(encoder)

        self.encoder = encoder
        self.num_classes = num_classes
        self.pooling = pooling
        self.features = features
        self.head = head
        self.norm = norm
        self.dense = dense

    def folded(self):
        """Returns a model that computes the same without batch norm.

        Its moments become a part of the dense layer's weights. The encoder is
        shared.

        Returns:
            A functional `keras.Model` from images to logits.
        """
        kernel, bias = (ops.convert_to_numpy(w) for w in self.dense.weights)
        mean = ops.convert_to_numpy(self.norm.moving_mean)
        variance = ops.convert_to_numpy(self.norm.moving_variance)
        kernel = kernel / ((variance + self.norm.epsilon) ** 0.5)[:, None]
        dense = keras.layers.Dense(
            self.num_classes, dtype="float32", name="head"
        )
        images = keras.Input(self.encoder.image_shape, name="images")
        model = keras.Model(
            images, dense(self.features(images)), name="classifier"
        )
        dense.set_weights([kernel, bias - mean @ kernel])
        return model
