import keras
from keras import ops

from keras_mim._checks import check_class_names
from keras_mim._checks import check_counts
from keras_mim._checks import check_numbers
from keras_mim.transfer._encoder_head import EncoderHead
from keras_mim.transfer._pooling import pool_tokens
from keras_mim.transfer._pooling import resolve_pooling


@keras.saving.register_keras_serializable(package="keras_mim")
class Classifier(EncoderHead):
    """Classifies images with a pre-trained encoder, to be fine-tuned whole.

    A plain functional model: encoder, pooling, dense layer. It holds a copy of
    the encoder: the one that is passed stays as it was pre-trained. What is
    frozen in it, quantized, or adapted by LoRA is so in the copy.

    References: MAE's `models_vit.py` and SimMIM's `swin_transformer.py` and
    `vision_transformer.py`. Pooling the mean of a ViT drops the norm that it
    was pre-trained with, and puts a fresh one behind the pooling. Sine-cosine
    positions are trained from where they are, and relative ones that all
    blocks share become each block's own.

    Args:
        encoder: `keras_mim.encoders.Encoder`.
        num_classes: int. Number of classes.
        pooling: str or `None`. What is classified: `"mean"`, the mean of the
            patch tokens, or `"cls"`, the class token. `None` is the mean,
            which all of the papers fine-tune with. Defaults to `None`.
        drop_path_rate: float or `None`. Rate of stochastic depth in the last
            block; it rises from 0 in the first. `None` is the encoder's own;
            an encoder without stochastic depth takes no other.
            Defaults to `None`.
        head_stddev: float. Standard deviation of the dense layer's first
            kernel. Defaults to `2e-5`, MAE's and that of SimMIM's ViTs; Swin
            has 0.02.
        class_names: sequence of str or `None`. Names of the classes, in the
            order of the logits: `class_names` of the data set that it is
            trained on. They are saved with it. Defaults to `None`.

    Input shape: `(batch_size, height, width, channels)`: normalized
    pixels, or bytes (uint8).

    Output shape: `(batch_size, num_classes)`, logits, float32.

    Example:

    >>> classifier = keras_mim.transfer.Classifier(mae.encoder, num_classes=10)
    >>> classifier.compile(
    ...     optimizer="adamw",
    ...     loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ... )
    >>> classifier.fit(images, labels)

    >>> train = pipeline.from_folder("flowers/train", labels=True)
    >>> names = train.class_names
    >>> classifier = Classifier(mae.encoder, len(names), class_names=names)

    Whatever a saved one is judged on is read with its names:

    >>> classifier = keras.saving.load_model("classifier.keras")
    >>> others = pipeline.from_folder(
    ...     "others", labels=True, class_names=classifier.class_names
    ... )
    """

    def __init__(
        self,
        encoder,
        num_classes,
        pooling=None,
        drop_path_rate=None,
        head_stddev=2e-5,
        class_names=None,
        name="classifier",
        **kwargs,
    ):
        check_counts(num_classes=num_classes)
        class_names = check_class_names(class_names, num_classes)
        check_numbers("[0, inf)", head_stddev=head_stddev)
        check_numbers("[0, 1)", or_none=True, drop_path_rate=drop_path_rate)
        pooling = resolve_pooling(
            encoder, "mean" if pooling is None else pooling
        )
        changes = encoder.fine_tuning_changes(pooling)
        if drop_path_rate is not None:
            changes["drop_path_rate"] = drop_path_rate
        encoder = encoder.copy(**changes)
        # The mean of tokens that no norm has seen gets one of its own.
        norm = None
        if pooling == "mean" and encoder.norm is None:
            norm = keras.layers.LayerNormalization(
                epsilon=1e-6, dtype=encoder.dtype_policy, name="norm"
            )
        head = keras.layers.Dense(
            int(num_classes),
            kernel_initializer=keras.initializers.RandomNormal(
                stddev=head_stddev
            ),
            dtype=encoder.dtype_policy,
            name="head",
        )
        images = keras.Input(encoder.image_shape, name="images")
        tokens = encoder(images)
        features = pool_tokens(tokens, encoder, pooling)
        if norm is not None:
            features = norm(features)
        logits = ops.cast(head(features), "float32")
        super().__init__(images, logits, name=name, **kwargs)

        self.encoder = encoder
        self.num_classes = num_classes
        self.pooling = pooling
        self.drop_path_rate = drop_path_rate
        self.head_stddev = head_stddev
        self.class_names = class_names
        self.norm = norm
        self.head = head

    def get_config(self):
        return {
            **super().get_config(),
            "drop_path_rate": self.drop_path_rate,
            "head_stddev": self.head_stddev,
        }
