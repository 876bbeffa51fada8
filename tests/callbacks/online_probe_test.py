import keras
import numpy as np
import pytest

from keras_mim.callbacks import OnlineProbe
from keras_mim.transfer import logistic_votes
from tests import tiny
from tests.test_case import TestCase

pytest.importorskip("sklearn")

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(24, 8, 8, 3)).astype("float32")
LABELS = np.arange(24) % 3
# Classes that can be told apart.
IMAGES += LABELS[:, None, None, None]
PAIRS = (IMAGES[:16], LABELS[:16]), (IMAGES[16:], LABELS[16:])


def tiny_model():
    keras.utils.set_random_seed(0)
    encoder = tiny.vit((8, 8, 3), num_layers=2, drop_path_rate=0.5)
    model = tiny.simmim(encoder)
    model.compile(keras.optimizers.SGD(0.1))
    return model


class OnlineProbeTest(TestCase):
    def test_logs_what_a_regression_on_the_encoder_gets(self):
        model = tiny_model()
        probe = OnlineProbe(*PAIRS, "mean", every_epochs=2, batch_size=5)
        history = model.fit(IMAGES, epochs=3, verbose=0, callbacks=[probe])
        found = history.history["probe_accuracy"]
        self.assertAllEqual(np.isnan(found), [True, False, True])
        model = tiny_model()
        model.fit(IMAGES, epochs=2, verbose=0)
        tokens = self.to_numpy(model.encoder(IMAGES, training=False))
        features = tokens[:, 1:].mean(axis=1)
        votes = logistic_votes(features[:16], LABELS[:16], features[16:], 3)
        expected = np.mean(votes.argmax(axis=-1) == LABELS[16:])
        self.assertEqual(found[1], expected)
        self.assertGreater(expected, 1 / 3)

    def test_training_is_not_disturbed(self):
        plain, probed = tiny_model(), tiny_model()
        # Shuffled, by the global random state.
        keras.utils.set_random_seed(1)
        plain.fit(IMAGES, epochs=3, batch_size=8, verbose=0)
        keras.utils.set_random_seed(1)
        probe = OnlineProbe(*PAIRS, pooling="cls")
        probed.fit(IMAGES, epochs=3, batch_size=8, verbose=0, callbacks=[probe])
        for one, other in zip(plain.weights, probed.weights, strict=True):
            self.assertAllEqual(one, other)

    def test_bad_arguments(self):
        for arguments, message in (
            ((PAIRS[0], (IMAGES, LABELS[:3])), "24 images and 3 labels"),
            (((IMAGES, LABELS - 1), PAIRS[1]), "labels of train.*: -1 "),
            ((PAIRS[0], (IMAGES, LABELS / 2)), "labels of validation.*: 0.5"),
            ((*PAIRS, "mean", 0), "every_epochs=0"),
            ((*PAIRS, "mean", 1, 0), "batch_size=0"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                OnlineProbe(*arguments)
        with self.assertRaisesRegex(ValueError, "pooling='max'"):
            tiny_model().fit(
                IMAGES, verbose=0, callbacks=[OnlineProbe(*PAIRS, "max")]
            )
