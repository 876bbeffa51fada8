import functools
import json

import keras
import numpy as np

from keras_mim.transfer import Classifier
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(4)
LABELS = np.array([0, 1, 2, 0])
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


vit = functools.partial(tiny.vit, num_layers=2)


def layer_norm(x):
    mean = x.mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6)


class ClassifierTest(TestCase):
    def logits(self, model, features):
        kernel, bias = map(self.to_numpy, model.head.weights)
        return features @ kernel + bias

    def test_the_mean_of_patches_and_a_fresh_norm(self):
        encoder = vit()
        # A trained norm, which must not be there any more.
        encoder.norm.set_weights([np.full(8, 3.0), np.full(8, 5.0)])
        model = Classifier(encoder, 3, head_stddev=1.0)
        blocks = encoder.feature_maps(IMAGES, layers=(1,))[0]
        features = self.to_numpy(blocks).reshape(4, 6, 8).mean(axis=1)
        expected = self.logits(model, layer_norm(features))
        self.assertAllClose(model(IMAGES), expected, 1e-4, 1e-5)
        names = [w.path for w in model.weights if "norm" in w.path]
        self.assertEqual(sum(name.startswith("norm/") for name in names), 2)

    def test_the_class_token_and_the_norm_it_was_trained_with(self):
        encoder = vit()
        encoder.norm.set_weights([np.full(8, 3.0), np.full(8, 5.0)])
        model = Classifier(encoder, 3, "cls", head_stddev=1.0)
        features = self.to_numpy(encoder(IMAGES))[:, 0]
        expected = self.logits(model, features)
        self.assertAllClose(model(IMAGES), expected, 1e-4, 1e-4)

    def test_swin_keeps_its_norm(self):
        encoder = tiny.swin()
        encoder.norm.set_weights([np.full(16, 3.0), np.full(16, 5.0)])
        model = Classifier(encoder, 3, head_stddev=1.0)
        features = self.to_numpy(encoder(IMAGES)).mean(axis=1)
        expected = self.logits(model, features)
        self.assertAllClose(model(IMAGES), expected, 1e-4, 1e-4)

    def test_fixed_positions_become_trainable_where_they_are(self):
        encoder = vit()
        model = Classifier(encoder, 3)
        paths = [w.path for w in model.trainable_weights]
        self.assertIn("position_embedding/positions/table", paths)
        for own, theirs in zip(
            model.encoder.position_embedding.weights,
            encoder.position_embedding.weights,
            strict=True,
        ):
            self.assertAllEqual(own, theirs)

    def test_a_shared_table_becomes_each_blocks_own(self):
        encoder = vit(positions="shared_relative")
        (shared,) = encoder.position_biases
        shared.set_weights([np.ones_like(shared.table)])
        model = Classifier(encoder, 3)
        self.assertEqual(len(model.encoder.position_biases), 2)
        for bias in model.encoder.position_biases:
            self.assertAllEqual(bias.table, shared.table)

    def test_training_leaves_the_encoder_that_was_passed(self):
        encoder = vit()
        before = encoder.get_weights()
        model = Classifier(encoder, 3, drop_path_rate=0.5, head_stddev=0.1)
        self.assertEqual(model.encoder.drop_path_rate, 0.5)
        self.assertEqual(encoder.drop_path_rate, 0.0)
        old = model.get_weights()
        model.compile(
            keras.optimizers.AdamW(1e-2),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        model.fit(IMAGES, LABELS, epochs=3, verbose=0)
        for a, b in zip(before, encoder.get_weights(), strict=True):
            self.assertAllEqual(a, b)
        still = [
            w.path
            for w, value in zip(model.weights, old, strict=True)
            if np.array_equal(self.to_numpy(w), value)
        ]
        self.assertEqual(still, [])

    def test_saved_and_loaded(self):
        for encoder in (vit(drop_path_rate=0.1), tiny.swin()):
            model = Classifier(encoder, 3, head_stddev=1.0)
            config = json.loads(json.dumps(model.get_config()))
            again = Classifier.from_config(config).get_config()
            self.assertEqual(json.loads(json.dumps(again)), config)
            path = self.temp_dir() / "model.keras"
            model.save(path)
            loaded = keras.saving.load_model(path)
            self.assertAllClose(loaded(IMAGES), model(IMAGES))

    def test_names_of_classes_are_saved_and_must_be_those_of_the_data(self):
        class Batches(keras.utils.PyDataset):
            def __init__(self, class_names):
                super().__init__()
                self.class_names = class_names

            def __len__(self):
                return 1

            def __getitem__(self, index):
                return IMAGES, LABELS

        names = ["ant", "bee", "cat"]
        model = Classifier(vit(), 3, class_names=names)
        path = self.temp_dir() / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
        self.assertEqual(loaded.class_names, names)
        loaded.compile("sgd", SPARSE)
        loaded.evaluate(Batches(names), verbose=0)
        for others in (["bee", "cat", "dog"], names[:2]):
            for method in (loaded.fit, loaded.evaluate):
                with self.assertRaisesRegex(
                    ValueError, "in their order.*'ant'"
                ):
                    method(Batches(others), verbose=0)
            with self.assertRaisesRegex(ValueError, "in their order"):
                loaded.fit(IMAGES, LABELS, validation_data=Batches(others))
        without = Classifier(vit(), 3)
        without.compile("sgd", SPARSE)
        without.evaluate(Batches(["bee", "cat", "dog"]), verbose=0)
        with self.assertRaisesRegex(ValueError, "3 classes.*any names"):
            without.evaluate(Batches(names[:2]), verbose=0)

    def test_wrong_labels(self):
        model = Classifier(vit(), 3)
        model.compile("sgd", SPARSE)
        for labels, message in (
            (LABELS + 1, "from 0 to 2, of 3 classes. Received: 3 "),
            (LABELS[:, None] - 1, "Received: -1 "),
            (LABELS / 2, "Received: 0.5 "),
        ):
            for given in (
                {"x": IMAGES, "y": labels},
                {"x": IMAGES, "y": LABELS, "validation_data": (IMAGES, labels)},
            ):
                with self.assertRaisesRegex(ValueError, message):
                    model.fit(**given, verbose=0)
        # Probabilities, and the yes or no of a single logit, are no numbers of
        # classes.
        model.compile("sgd", keras.losses.CategoricalCrossentropy())
        model.evaluate(IMAGES, np.full((4, 3), 1 / 3), verbose=0)
        model = Classifier(vit(), 1)
        model.compile("sgd", "mse")
        model.evaluate(IMAGES, np.array([0.5, -1.0, 3.0, 0.1]), verbose=0)

    def test_logits_are_float32_under_mixed_precision(self):
        model = Classifier(vit(dtype="mixed_bfloat16"), 3)
        logits = model(IMAGES)
        dtype = keras.backend.standardize_dtype(logits.dtype)
        self.assertEqual(dtype, "float32")
        self.assertEqual(tuple(logits.shape), (4, 3))

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "num_classes=0"):
            Classifier(vit(), 0)
        with self.assertRaisesRegex(ValueError, "3 classes. Received: 2 names"):
            Classifier(vit(), 3, class_names=["ant", "bee"])
        with self.assertRaisesRegex(ValueError, "pooling='max'"):
            Classifier(vit(), 3, "max")
        with self.assertRaisesRegex(ValueError, "num_prefix_tokens=0"):
            Classifier(tiny.swin(), 3, "cls")
