import functools
import json

import keras
import numpy as np

from keras_mim.transfer import LinearProbe
from keras_mim.transfer import extract_features
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(6)
LABELS = np.array([0, 1, 2, 0, 1, 2])
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


vit = functools.partial(tiny.vit, num_layers=2)


class LinearProbeTest(TestCase):
    def trained(self, **kwargs):
        encoder = vit(drop_path_rate=0.5)
        probe = LinearProbe(encoder, 3, **kwargs)
        probe.compile(keras.optimizers.SGD(1.0), SPARSE)
        probe.fit(IMAGES, LABELS, batch_size=3, epochs=2, verbose=0)
        return encoder, probe

    def test_only_the_linear_layer_learns(self):
        encoder, probe = self.trained()
        names = {w.path.split("/")[-1] for w in probe.trainable_weights}
        self.assertEqual(names, {"kernel", "bias"})
        self.assertEqual(len(probe.trainable_weights), 2)
        for own, theirs in zip(
            probe.encoder.weights, encoder.weights, strict=True
        ):
            self.assertAllEqual(own, theirs)
        self.assertGreater(np.abs(self.to_numpy(probe.dense.bias)).max(), 0)

    def test_features_are_what_the_encoder_says(self):
        encoder = vit()
        tokens = self.to_numpy(encoder(IMAGES))
        probe = LinearProbe(encoder, 3)
        self.assertAllClose(probe.features(IMAGES), tokens[:, 0], 1e-5, 1e-5)
        probe = LinearProbe(encoder, 3, "mean")
        expected = tokens[:, 1:].mean(axis=1)
        self.assertAllClose(probe.features(IMAGES), expected, 1e-5, 1e-5)
        swin = tiny.swin()
        probe = LinearProbe(swin, 3, "mean")
        expected = self.to_numpy(swin(IMAGES)).mean(axis=1)
        self.assertAllClose(probe.features(IMAGES), expected, 1e-5, 1e-5)

    def test_a_head_on_extracted_features_learns_the_same(self):
        encoder, probe = self.trained()
        other = LinearProbe(encoder, 3)
        first = LinearProbe(encoder, 3).head.get_weights()
        batches = [(IMAGES[:4], LABELS[:4]), (IMAGES[4:], LABELS[4:])]
        features, labels = extract_features(other.features, batches)
        self.assertAllEqual(labels, LABELS)
        for model, x in ((probe, IMAGES), (other.head, features)):
            head = model.head if model is probe else model
            head.set_weights(first)
            model.compile(keras.optimizers.SGD(1.0), SPARSE)
            model.fit(x, labels, epochs=3, shuffle=False, verbose=0)
        self.assertAllClose(probe(IMAGES), other(IMAGES), 1e-4, 1e-4)

    def test_batch_norm_folds_into_the_linear_layer(self):
        _, probe = self.trained()
        # The moments have moved, else folding them would show nothing.
        self.assertGreater(
            np.abs(self.to_numpy(probe.norm.moving_mean)).max(), 0
        )
        folded = probe.folded()
        kinds = {type(x).__name__ for x in folded._flatten_layers()}
        self.assertNotIn("BatchNormalization", kinds)
        self.assertAllClose(folded(IMAGES), probe(IMAGES), 1e-5, 1e-5)
        path = self.temp_dir() / "classifier.keras"
        folded.save(path)
        loaded = keras.saving.load_model(path)
        self.assertAllClose(loaded(IMAGES), folded(IMAGES))

    def test_survives_saving(self):
        names = ["ant", "bee", "été"]
        _, probe = self.trained(pooling="mean", class_names=names)
        json.dumps(probe.get_config())
        self.assertEqual(probe.folded().class_names, names)
        path = self.temp_dir() / "probe.keras"
        probe.save(path)
        loaded = keras.saving.load_model(path)
        self.assertAllClose(loaded(IMAGES), probe(IMAGES))
        self.assertEqual(len(loaded.trainable_weights), 2)
        self.assertEqual(loaded.pooling, "mean")
        self.assertEqual(loaded.class_names, names)
        loaded.fit(IMAGES, LABELS, verbose=0)

    def test_bad_arguments(self):
        for arguments, message in (
            ({"num_classes": 0}, "`num_classes` must be a positive int"),
            ({"num_classes": 3, "pooling": "max"}, "`pooling` must be"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                LinearProbe(vit(), **arguments)
        for batches, message in (
            ([], "at least one batch"),
            ([IMAGES], "must hold pairs"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                extract_features(vit(), batches)
