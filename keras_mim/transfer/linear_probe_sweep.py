import keras
from keras import ops

from keras_mim._checks import check
from keras_mim._checks import check_counts
from keras_mim._checks import is_int
from keras_mim._checks import is_number
from keras_mim.transfer._feature_checks import check_fitted_labels
from keras_mim.transfer.linear_probe import make_dense
from keras_mim.transfer.linear_probe import make_norm


@keras.saving.register_keras_serializable(package="keras_mim")
class LinearProbeSweep(keras.Model):
    """Many linear layers on the same features, each at its own learning rate.

    The best learning rate of a linear probe depends on the encoder, and to try
    several takes no longer than to try one when what is slow, the features, is
    shared. The layers do not touch each other: each learns what a
    `LinearProbe`'s head would at its rate.

    Reference: [Oquab et al., 2023](https://arxiv.org/abs/2304.07193), DINOv2's
    linear evaluation, which trains a grid of layers at once.

    Args:
        feature_dim: int. Width of the features.
        num_classes: int. Number of classes.
        factors: sequence of float. Each layer's share of the optimizer's
            learning rate. Defaults to `(0.1, 0.3, 1.0, 3.0, 10.0)`.

    Input shape: `(batch_size, feature_dim)`.

    Output shape: `(batch_size, len(factors), num_classes)`, logits. The labels,
    `(batch_size,)`, are compared with each layer's; losses are added up,
    metrics averaged.

    Example:

    >>> sweep = LinearProbeSweep(features.shape[-1], num_classes=10)
    >>> sweep.compile(
    ...     optimizer=keras_mim.optimizers.LARS(
    ...         0.1, learning_rate_scales=sweep.learning_rate_scales
    ...     ),
    ...     loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ... )
    >>> sweep.fit(features, labels, batch_size=256, epochs=90)
    >>> probe.head.set_weights(sweep.head_weights(best))
    """

    def __init__(
        self,
        feature_dim,
        num_classes,
        factors=(0.1, 0.3, 1.0, 3.0, 10.0),
        **kwargs,
    ):
        check_counts(feature_dim=feature_dim, num_classes=num_classes)
        right = isinstance(factors, (tuple, list)) and len(factors) > 0
        right = right and all(is_number(x) and x > 0 for x in factors)
        check(right, "factors", factors, "positive numbers, one or more")
        factors = [float(factor) for factor in factors]
        features = keras.Input((feature_dim,), name="features")
        norm = make_norm()
        layers = [
            make_dense(num_classes, f"dense_{i}") for i in range(len(factors))
        ]
        normalised = norm(features)
        logits = ops.stack([layer(normalised) for layer in layers], axis=1)
        super().__init__(features, logits, **kwargs)
        self.feature_dim = feature_dim
        self.num_classes = num_classes
        self.factors = factors
        self.norm = norm
        self.dense_layers = layers

    @property
    def learning_rate_scales(self):
        """List of float: the factor of each trainable weight's layer."""
        factors = {
            id(weight): factor
            for layer, factor in zip(self.dense_layers, self.factors)
            for weight in layer.trainable_weights
        }
        return [factors[id(weight)] for weight in self.trainable_weights]

    def head_weights(self, index):
        """Returns the weights of a `LinearProbe`'s head that has one layer.

        Args:
            index: int. Position in `factors`.
        """
        right = is_int(index) and 0 <= index < len(self.factors)
        expected = f"a position in `factors`, below {len(self.factors)}"
        check(right, "index", index, expected)
        return self.norm.get_weights() + self.dense_layers[index].get_weights()

    def fit(self, x=None, y=None, *args, **kwargs):
        check_fitted_labels(y, self.num_classes)
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        check_fitted_labels(y, self.num_classes)
        return super().evaluate(x, y, *args, **kwargs)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        # Summed, or each layer would learn at a fraction of its rate.
        return len(self.factors) * super().compute_loss(
            x, self._for_each(y), y_pred, sample_weight, training
        )

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(
            x, self._for_each(y), y_pred, sample_weight
        )

    def _for_each(self, labels):
        labels = ops.reshape(labels, (-1, 1))
        return ops.tile(labels, (1, len(self.factors)))

    def get_config(self):
        return {
            "name": self.name,
            "feature_dim": self.feature_dim,
            "num_classes": self.num_classes,
            "factors": self.factors,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)
