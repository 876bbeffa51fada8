"""Targets that come from a teacher: a frozen one, and a moving average."""

import functools
import json

import keras
import numpy as np

from keras_mim.targets import EMATarget
from keras_mim.targets import FeatureTarget
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(4)


vit = functools.partial(tiny.vit, num_layers=2)


def simmim(target):
    return tiny.simmim(vit(), target=target)


def standardised(x):
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6)


class FeatureTargetTest(TestCase):
    def test_the_teachers_patch_tokens(self):
        teacher = vit(hidden_dim=16)
        tokens = self.to_numpy(teacher(IMAGES))[:, 1:]
        target = FeatureTarget(teacher, normalize=False, patch_size=4)
        self.assertAllClose(target(IMAGES), tokens)
        target = FeatureTarget(teacher, patch_size=4)
        self.assertAllClose(target(IMAGES), standardised(tokens), 1e-5, 1e-5)

    def test_a_teacher_of_larger_images(self):
        teacher = vit((16, 24, 3), 8)
        target = FeatureTarget(teacher, patch_size=4, normalize=False)
        # A picture of one colour stays one when it is resized.
        small = np.full((1, 8, 12, 3), 0.3, "float32")
        large = np.full((1, 16, 24, 3), 0.3, "float32")
        expected = self.to_numpy(teacher(large))[:, 1:]
        self.assertAllClose(target(small), expected, 1e-5, 1e-5)

    def test_training_leaves_the_teacher_and_is_saved(self):
        teacher = vit(hidden_dim=16, drop_path_rate=0.5)
        before = teacher.get_weights()
        model = simmim(FeatureTarget(teacher))
        model.compile(keras.optimizers.AdamW(1e-2), loss="mse")
        model.fit(IMAGES, epochs=2, verbose=0)
        for weight, old in zip(teacher.weights, before, strict=True):
            self.assertAllEqual(weight, old)
        path = self.temp_dir() / "model.keras"
        model.save(path)
        again = keras.saving.load_model(path)
        self.assertAllClose(again.target(IMAGES), model.target(IMAGES))
        self.assertEqual(
            [w.shape for w in again.trainable_weights],
            [w.shape for w in model.trainable_weights],
        )
        self.assertEqual(int(again.optimizer.iterations), 2)
        config = json.loads(json.dumps(model.target.get_config()))
        self.assertFalse(FeatureTarget.from_config(config).teacher.trainable)

    def test_another_number_of_patches(self):
        with self.assertRaisesRegex(ValueError, "6 and 3.*24 patches"):
            FeatureTarget(vit(patch_size=2), patch_size=4)(IMAGES)


class EMATargetTest(TestCase):
    def test_the_mean_of_the_last_blocks_standardised(self):
        target = EMATarget(num_layers=2)
        model = simmim(target)
        maps = model.encoder.feature_maps(IMAGES, layers=(0, 1))
        maps = [self.to_numpy(x).reshape(4, 6, 8) for x in maps]
        expected = sum(standardised(x) for x in maps) / 2
        self.assertAllClose(target(IMAGES), expected, 1e-5, 1e-5)

    def test_the_teacher_follows_before_it_is_asked(self):
        target = EMATarget(momentum=0.75, num_layers=1)
        model = simmim(target)
        first = [self.to_numpy(w).copy() for w in model.encoder.weights]
        model.compile(keras.optimizers.SGD(1.0))
        model.fit(IMAGES, batch_size=4, verbose=0)
        # In the first step, the encoder is still what the teacher is.
        for weight, old in zip(target.teacher.weights, first, strict=True):
            self.assertAllClose(weight, old)
        learned = [self.to_numpy(w).copy() for w in model.encoder.weights]
        self.assertGreater(
            max(np.abs(a - b).max() for a, b in zip(first, learned)), 1e-4
        )
        model.fit(IMAGES, batch_size=4, verbose=0)
        expected = [0.75 * a + 0.25 * b for a, b in zip(first, learned)]
        for weight, value in zip(target.teacher.weights, expected):
            self.assertAllClose(weight, value, 1e-5, 1e-6)

    def test_judging_moves_nothing(self):
        target = EMATarget(momentum=0.5, num_layers=1)
        model = simmim(target)
        for weight in model.encoder.trainable_weights:
            weight.assign(weight + 1.0)
        before = target.teacher.get_weights()
        model.compile()
        model.evaluate(IMAGES, verbose=0)
        model.predict_patches(IMAGES, model.masking(IMAGES))
        for weight, old in zip(target.teacher.weights, before, strict=True):
            self.assertAllEqual(weight, old)

    def test_weights_and_saving(self):
        target = EMATarget(momentum=0.5, num_layers=1)
        model = simmim(target)
        num_encoder = len(model.encoder.weights)
        self.assertEqual(len(target.weights), num_encoder)
        self.assertEqual(len(target.trainable_weights), 0)
        model.compile(keras.optimizers.SGD(0.5))
        model.fit(IMAGES, batch_size=2, verbose=0)
        path = self.temp_dir() / "model.keras"
        model.save(path)
        again = keras.saving.load_model(path)
        self.assertAllClose(again.target(IMAGES), target(IMAGES))
        for one in (model, again):
            one.fit(IMAGES, batch_size=4, verbose=0)
        self.assertAllClose(again.target(IMAGES), target(IMAGES), 1e-4, 1e-4)

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "momentum=1"):
            EMATarget(momentum=1)
        with self.assertRaisesRegex(ValueError, "blocks, 2.*num_layers=6"):
            simmim(EMATarget())
        with self.assertRaisesRegex(ValueError, "a token for each patch"):
            tiny.simmim(tiny.swin(), target=EMATarget())
