import keras
import numpy as np
from keras import ops

from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_labels
from keras_mim._array_checks import check_rank
from keras_mim._checks import check
from keras_mim._checks import check_choice
from keras_mim._checks import check_counts
from keras_mim.ops._inference import no_gradient
from keras_mim.transfer import logistic_votes
from keras_mim.transfer._pooling import check_encoder
from keras_mim.transfer._pooling import pool_tokens
from keras_mim.transfer._pooling import resolve_pooling


class OnlineProbe(keras.callbacks.Callback):
    """Tells while a model pre-trains what its encoder is worth.

    The loss says how well pixels are filled in, not how good the features are.
    Every few epochs this fits a logistic regression on the encoder's features
    of labelled images, and adds the accuracy on others to the epoch's logs, as
    `probe_accuracy` (a share, not percent). Callbacks after it in the list,
    such as `CSVLogger`, see it; in other epochs it is NaN.

    The encoder learns nothing from it: weights and random streams are the same
    with it and without. Needs `pip install "keras-mim[data]"`.

    Args:
        train: pair `(images, labels)` of arrays: `(num_images, height, width,
            channels)` as the model takes them (normalized, or bytes), and int
            `(num_images,)`, from 0 on. Some thousands are enough.
        validation: pair of arrays, likewise, to judge by.
        pooling: str or `None`. `"cls"`, the class token, or `"mean"`, the
            mean of the patch tokens. `None` is the class token where the
            encoder has one and its paper uses it, else the mean.
            Defaults to `None`.
        every_epochs: int. Defaults to `1`.
        batch_size: int. Images that are encoded at a time. Defaults to `256`.

    Example:

    >>> probe = keras_mim.callbacks.OnlineProbe(
    ...     (images, labels), (other_images, other_labels), every_epochs=5
    ... )
    >>> mae.fit(unlabelled, epochs=100, callbacks=[probe])
    """

    def __init__(
        self,
        train,
        validation,
        pooling=None,
        every_epochs=1,
        batch_size=256,
    ):
        super().__init__()
        check_counts(every_epochs=every_epochs, batch_size=batch_size)
        check_choice("pooling", pooling, (None, "mean", "cls"))
        self.train = self._pair("train", train)
        self.validation = self._pair("validation", validation)
        self.pooling = pooling
        self.every_epochs = every_epochs
        self.batch_size = batch_size

    def _pair(self, name, pair):
        right = isinstance(pair, (tuple, list)) and len(pair) == 2
        check(right, name, pair, "a pair, (images, labels)")
        check_rank(f"images of {name}", pair[0], IMAGES)
        check_rank(f"labels of {name}", pair[1], "(num_images,)")
        images, labels = map(ops.convert_to_numpy, pair)
        if len(images) != len(labels) or not len(images):
            raise ValueError(
                f"`{name}` must hold one label per image, and some. "
                f"Received: {len(images)} images and {len(labels)} labels"
            )
        check_labels(labels, name=f"labels of {name}")
        return images, labels.astype("int64")

    def on_train_begin(self, logs=None):
        encoder = self.model.encoder
        resolve_pooling(encoder, self.pooling)
        for images, _ in (self.train, self.validation):
            encoder.normalization.check_range(images)

    def on_epoch_end(self, epoch, logs=None):
        accuracy = float("nan")
        if (epoch + 1) % self.every_epochs == 0:
            accuracy = self.accuracy(self.model.encoder)
        if logs is not None:
            logs["probe_accuracy"] = accuracy

    def accuracy(self, encoder):
        """Returns the share of `validation` that a probe gets right."""
        check_encoder(encoder)
        (images, labels), (others, truth) = self.train, self.validation
        votes = logistic_votes(
            self._features(encoder, images),
            labels,
            self._features(encoder, others),
            num_classes=int(max(labels.max(), truth.max())) + 1,
        )
        return float(np.mean(votes.argmax(axis=-1) == truth))

    def _features(self, encoder, images):
        # Not by `predict`, which on some backends takes the variables off the
        # model that is training.
        pooling = resolve_pooling(encoder, self.pooling)
        features = []
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            with no_gradient():
                tokens = ops.cast(encoder(batch, training=False), "float32")
                pooled = pool_tokens(tokens, encoder, pooling)
            features.append(ops.convert_to_numpy(pooled))
        return np.concatenate(features)
