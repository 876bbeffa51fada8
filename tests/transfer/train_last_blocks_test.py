import functools

import keras
import numpy as np

from keras_mim.optimizers import LayerwiseAdamW
from keras_mim.transfer import Classifier
from keras_mim.transfer import layer_ids
from keras_mim.transfer import layer_scales
from keras_mim.transfer import train_last_blocks
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(4, (8, 8, 3))
LABELS = np.array([0, 1, 2, 0])
NUM_BLOCKS = 3


vit = functools.partial(tiny.vit, (8, 8, 3), num_layers=NUM_BLOCKS)


class TrainLastBlocksTest(TestCase):
    def trained_ids(self, encoder, num_blocks, pooling="mean"):
        """How deep the weights that train stand, as layer decay counts."""
        model = Classifier(encoder, 3, pooling)
        train_last_blocks(model, num_blocks)
        return sorted(layer_ids(model))

    def test_whole_blocks(self):
        for encoder in (
            vit(positions="relative", layer_scale=0.1),
            tiny.swin((8, 8, 3), depths=(1, 2)),
        ):
            everything = sorted(layer_ids(Classifier(encoder, 3)))
            for number in range(NUM_BLOCKS):
                self.assertEqual(
                    self.trained_ids(encoder, number),
                    [i for i in everything if i > NUM_BLOCKS - number],
                )
            found = self.trained_ids(encoder, NUM_BLOCKS)
            self.assertEqual(found, everything)

    def test_half_a_block_is_its_mlp(self):
        for encoder in (vit(), vit(layer_scale=0.1)):
            model = Classifier(encoder, 3)
            train_last_blocks(model, 1.5)
            half = model.encoder.blocks[1]
            names = {w.path.split("/", 1)[1] for w in half.trainable_weights}
            expected = {
                "mlp_norm/gamma",
                "mlp_norm/beta",
                "mlp_in/kernel",
                "mlp_in/bias",
                "mlp_out/kernel",
                "mlp_out/bias",
            }
            if encoder.layer_scale:
                expected.add("mlp_scale/gamma")
            self.assertEqual(names, expected)
            self.assertEqual(
                len(model.encoder.blocks[2].trainable_weights),
                len(model.encoder.blocks[2].weights),
            )
            self.assertEqual(model.encoder.blocks[0].trainable_weights, [])

    def test_a_model_of_ones_own_around_an_encoder(self):
        encoder = vit()
        images = keras.Input(encoder.image_shape)
        head = keras.layers.Dense(3)
        model = keras.Model(images, head(encoder(images)[:, 0]))
        train_last_blocks(model, 1)
        last = [*encoder.blocks[-1].weights, *encoder.norm.weights]
        self.assertEqual(
            [w.path for w in model.trainable_weights],
            [w.path for w in [*last, *head.weights]],
        )

    def test_a_later_call_decides(self):
        model = Classifier(vit(), 3)
        before = [w.path for w in model.trainable_weights]
        train_last_blocks(model, 0.5)
        train_last_blocks(model, NUM_BLOCKS)
        self.assertEqual([w.path for w in model.trainable_weights], before)

    def test_what_is_frozen_stays(self):
        model = Classifier(vit(), 3)
        train_last_blocks(model, 0.5)
        before = [self.to_numpy(w).copy() for w in model.weights]
        model.compile(
            keras.optimizers.SGD(1.0),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        # Two steps: the head starts at almost nothing.
        model.fit(IMAGES, LABELS, epochs=2, verbose=0)
        trained = {id(w) for w in model.trainable_weights}
        for weight, old in zip(model.weights, before, strict=True):
            moved = np.any(self.to_numpy(weight) != old)
            self.assertEqual(moved, id(weight) in trained, weight.path)

    def test_a_file_trains_on_as_the_model_does(self):
        model = Classifier(vit(), 3)
        train_last_blocks(model, 0.5)
        model.compile(
            LayerwiseAdamW(1e-2, learning_rate_scales=layer_scales(model, 0.5)),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            run_eagerly=keras.backend.backend() == "tensorflow",
        )
        model.fit(IMAGES, LABELS, verbose=0)
        path = self.temp_dir() / "classifier.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
        for each in (model, loaded):
            each.fit(IMAGES, LABELS, shuffle=False, verbose=0)
        self.assertSameState(loaded, model)

    def test_the_norm_before_the_class_token_trains_too(self):
        model = Classifier(vit(), 3, "cls")
        train_last_blocks(model, 0)
        names = {w.path for w in model.trainable_weights}
        self.assertEqual(len(names), 4)

    def test_bad_numbers(self):
        model = Classifier(vit(), 3)
        for number in (-0.5, 3.5, 0.3):
            with self.assertRaisesRegex(ValueError, "a multiple of 0.5"):
                train_last_blocks(model, number)
