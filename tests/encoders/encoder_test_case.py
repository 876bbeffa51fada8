import json

import keras
import numpy as np
import pytest

from keras_mim import MAE
from keras_mim import Normalization
from keras_mim import SimMIM
from keras_mim.layers import MAEHead
from keras_mim.masking import RandomMasking
from keras_mim.optimizers import LayerwiseAdamW
from keras_mim.targets import EMATarget
from keras_mim.transfer import Classifier
from keras_mim.transfer import LinearProbe
from keras_mim.transfer import decayed_weights
from keras_mim.transfer import layer_ids
from keras_mim.transfer import layer_scales
from keras_mim.transfer import train_last_blocks
from tests import tiny
from tests.test_case import TestCase

LABELS = np.array([0, 1, 2, 0])
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class EncoderTestCase(TestCase):
    """The contract of encoders: what every one of them must do.

    A subclass implements `make`. It is written against the contract alone, so
    that an encoder which passes works with every method, head and tool.
    """

    __test__ = False
    # Whether blocks have an attention half, to be fine-tuned without.
    has_halves = True
    larger = (32, 32, 3)

    def __init_subclass__(cls):
        cls.__test__ = True

    def make(self, **changes):
        """Returns a tiny encoder of images of 16 x 24 pixels."""
        raise NotImplementedError

    def images(self, encoder, number=4):
        return tiny.images(number, encoder.image_shape)

    def output(self, encoder, images):
        return self.to_numpy(encoder(images, training=False))

    def test_geometry(self):
        encoder = self.make()
        height, width, _ = encoder.image_shape
        size = encoder.patch_size
        self.assertEqual(encoder.grid, (height // size, width // size))
        self.assertEqual(encoder.num_patches, height * width // size**2)
        rows, columns = encoder.output_grid
        self.assertEqual(rows, -(-height // encoder.stride))
        self.assertEqual(columns, -(-width // encoder.stride))
        num_tokens = encoder.num_prefix_tokens + rows * columns
        self.assertEqual(
            encoder.output_shape, (None, num_tokens, encoder.output_dim)
        )
        self.assertIn(encoder.default_pooling, ("cls", "mean"))

    def test_stages_make_the_whole_and_nothing_is_random(self):
        encoder = self.make()
        images = self.images(encoder)
        tokens = encoder.position_embedding(encoder.patch_embedding(images))
        found = self.output(encoder, images)
        self.assertAllEqual(found, self.output(encoder, images))
        self.assertAllClose(encoder.trunk(tokens), found)

    def test_every_weight_has_one_depth(self):
        encoder = self.make()
        groups = encoder.layer_groups
        self.assertEqual(len(groups), len(encoder.blocks) + 2)
        found = [
            id(weight)
            for group in groups
            for layer in group.layers
            for weight in layer.weights
        ]
        self.assertEqual(len(found), len(set(found)))
        self.assertEqual(set(found), {id(w) for w in encoder.weights})
        for block, group in zip(encoder.blocks, groups[1:]):
            self.assertIn(block, group.layers)
            self.assertEqual(bool(group.attention), self.has_halves)

    def test_configuration_and_file_hold_all_of_it(self):
        normalization = Normalization((0.1, 0.2, 0.3), (0.2, 0.3, 0.4))
        encoder = self.make(normalization=normalization)
        config = json.loads(json.dumps(encoder.get_config()))
        again = type(encoder).from_config(config)
        self.assertEqual(json.loads(json.dumps(again.get_config())), config)
        path = self.temp_dir() / "encoder.keras"
        encoder.save(path)
        loaded = keras.saving.load_model(path)
        self.assertEqual(loaded.normalization, normalization)
        images = self.images(encoder)
        self.assertAllEqual(
            self.output(loaded, images), self.output(encoder, images)
        )

    def test_a_copy_has_the_weights_under_other_arguments(self):
        encoder = self.make()
        images = self.images(encoder)
        copy = encoder.copy(normalization=Normalization([0.5] * 3, [0.5] * 3))
        self.assertAllEqual(
            self.output(copy, images), self.output(encoder, images)
        )
        self.assertEqual(copy.normalization.mean, (0.5, 0.5, 0.5))
        for own, other in zip(copy.weights, encoder.weights, strict=True):
            self.assertIsNot(own, other)
        larger = encoder.copy(image_shape=self.larger)
        output = self.output(larger, self.images(larger, 1))
        self.assertTrue(np.isfinite(output).all())
        # There and back again: what does not depend on the image is the same.
        back = larger.copy(image_shape=encoder.image_shape)
        tables = {id(layer.table) for layer in encoder.position_layers()}
        for own, other in zip(back.weights, encoder.weights, strict=True):
            if id(other) not in tables:
                self.assertAllEqual(own, other)
        with self.assertRaisesRegex(ValueError, "Received: no_such_argument"):
            encoder.copy(no_such_argument=1)

    def set_parts(self, encoder):
        """Freezes what is neither in the last block nor LoRA, and more."""
        encoder.trainable = False
        block = encoder.blocks[-1]
        block.trainable = True
        layers = [x for x in block._flatten_layers() if x.weights]
        layers[-1].trainable = False
        layers[-1].dtype_policy = "mixed_bfloat16"
        dense = encoder.patch_embedding._flatten_layers()
        dense = next(x for x in dense if isinstance(x, keras.layers.Dense))
        dense.trainable = True
        dense.bias.trainable = False
        dense.enable_lora(2)
        dense.lora_kernel_b.assign(tiny.normal(2, dense.units))

    def assertSetAlike(self, model, other):
        for own, old in zip(model.weights, other.weights, strict=True):
            self.assertEqual(
                (own.name, own.dtype, own.trainable),
                (old.name, old.dtype, old.trainable),
            )

    def test_files_and_copies_hold_what_single_layers_are_set_to(self):
        encoder = self.make()
        images = self.images(encoder)
        self.set_parts(encoder)
        found = encoder.get_config()["layer_settings"]
        path = self.temp_dir() / "encoder.keras"
        encoder.save(path)
        for again in (keras.saving.load_model(path), encoder.copy()):
            self.assertSetAlike(again, encoder)
            self.assertEqual(again.get_config()["layer_settings"], found)
            self.assertAllEqual(
                self.output(again, images), self.output(encoder, images)
            )
        self.assertSetAlike(keras.models.clone_model(encoder), encoder)
        # Another precision is one for all layers.
        half = encoder.copy(dtype="bfloat16").weights
        low = {str(w.dtype) for w in half if "lora" not in w.name}
        self.assertEqual(low, {"bfloat16"})
        for model in (Classifier(encoder, 3), LinearProbe(encoder, 3)):
            again = keras.models.clone_model(model)
            self.assertSetAlike(again, model)
            again = type(model).from_config(model.get_config())
            self.assertSetAlike(again, model)

    def test_new_layers_can_be_put_upon_it(self):
        for whole in (False, True):
            encoder = self.make()
            images = self.images(encoder)
            encoder.blocks[0].trainable = False
            inputs = keras.Input(encoder.image_shape)
            x = encoder(inputs) if whole else encoder.output
            x = keras.layers.GlobalAveragePooling1D()(x)
            model = keras.Model(
                inputs if whole else encoder.input, keras.layers.Dense(3)(x)
            )
            if not whole:
                eagerly = keras.backend.backend() == "tensorflow"
                model.compile("adam", SPARSE, run_eagerly=eagerly)
                model.fit(images, LABELS, verbose=0)
            path = self.temp_dir() / "model.keras"
            model.save(path)
            loaded = keras.saving.load_model(path)
            self.assertAllEqual(
                self.output(loaded, images), self.output(model, images)
            )
            for again in (loaded, keras.models.clone_model(model)):
                self.assertSetAlike(again, model)
        model = keras.Sequential(
            [encoder, keras.layers.Flatten(), keras.layers.Dense(3)]
        )
        expected = self.output(model, images)
        model.save(path)
        loaded = keras.saving.load_model(path)
        self.assertAllEqual(self.output(loaded, images), expected)
        self.assertSetAlike(loaded, model)

    @pytest.mark.torch_only
    @pytest.mark.filterwarnings("ignore")  # Torch's, that sizes are fixed.
    def test_torch_can_take_it_down(self):
        import torch

        encoder = self.make().eval()
        images = self.images(encoder)
        traced = torch.jit.trace(encoder, torch.tensor(images[:1]))
        # Of any batch size, which is all that is not known.
        self.assertAllClose(
            traced(torch.tensor(images)).detach(),
            self.output(encoder, images),
            1e-5,
            1e-5,
        )

    def test_feature_maps_and_pyramid(self):
        encoder = self.make()
        images = self.images(encoder)
        height, width, _ = encoder.image_shape
        levels = list(encoder.pyramid_outputs)
        self.assertIn(f"P{encoder.stride.bit_length() - 1}", levels)
        model = keras.Model(encoder.input, encoder.pyramid_outputs)
        pyramid = model(images, training=False)
        maps = encoder.feature_maps(images, levels)
        for level, found in zip(levels, maps, strict=True):
            stride = 2 ** int(level[1:])
            self.assertEqual(found.shape[1], -(-height // stride))
            self.assertEqual(found.shape[2], -(-width // stride))
            self.assertAllClose(found, pyramid[level], 1e-5, 1e-5)
        (first,) = encoder.feature_maps(images, (0,))
        self.assertEqual(first.shape[0], len(images))
        for wrong in ((), (99,), ("P9",), "P3", (-1,), (0.5,), 0):
            with self.assertRaisesRegex(ValueError, "Received: layers="):
                encoder.feature_maps(images, wrong)

    def test_bytes_are_normalized_once(self):
        encoder = self.make(
            normalization=Normalization((0.1, 0.2, 0.3), (0.2, 0.3, 0.4))
        )
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (4, *encoder.image_shape), "uint8")
        images = encoder.normalization.normalize(pixels)
        probe = LinearProbe(encoder, 3)
        for model in (encoder, Classifier(encoder, 3), probe, probe.features):
            self.assertAllClose(
                self.output(model, pixels),
                self.output(model, images),
                1e-5,
                1e-5,
            )
        self.assertAllClose(
            encoder.feature_maps(pixels, (0,))[0],
            encoder.feature_maps(images, (0,))[0],
            1e-5,
            1e-5,
        )
        # As a model of the user's own begins that takes bytes.
        inputs = keras.Input(encoder.image_shape, dtype="uint8")
        model = keras.Model(inputs, encoder.feature_maps(inputs, (0,)))
        self.assertAllClose(
            keras.tree.flatten(model(pixels))[0],
            encoder.feature_maps(images, (0,))[0],
            1e-5,
            1e-5,
        )
        with self.assertRaisesRegex(ValueError, "of dtype int64"):
            encoder(pixels.astype("int64"))

    def test_methods(self):
        encoder = self.make()
        images = self.images(encoder)
        masking = RandomMasking(0.5, mask_patch_size=8, seed=0)
        model = SimMIM(encoder, masking)
        model.compile(keras.optimizers.AdamW(1e-3, 0.1))
        before = [self.to_numpy(w).copy() for w in encoder.trainable_weights]
        history = model.fit(images, verbose=0)
        self.assertTrue(np.isfinite(history.history["loss"]).all())
        # AdamW's first step decays each value and moves it by the rate,
        # whatever its gradient: by less where that is near epsilon. Sparse
        # gradients, which TensorFlow has of looked up rows, would move it by
        # more.
        steps = [
            np.abs(self.to_numpy(weight) - (1 - 1e-4) * value).max() / 1e-3
            for weight, value in zip(encoder.trainable_weights, before)
        ]
        # Float32 has 1e-7 of weights around 1.
        self.assertLess(max(steps), 1 + 1e-3)
        # Not in all: Swin v2's blocks start as the identity, which hides what
        # is visible from what is predicted.
        self.assertGreater(max(steps), 0.99)
        self.assertEqual(
            model.reconstruct(images)["pasted"].shape, images.shape
        )
        if encoder.drops_tokens:
            mae = MAE(encoder, head=MAEHead(8, 1, 2))
            output = self.to_numpy(mae(images)["prediction"])
            self.assertTrue(np.isfinite(output).all())
        else:
            with self.assertRaisesRegex(ValueError, "any subset of its tokens"):
                MAE(encoder)

    def test_teacher_of_itself(self):
        encoder = self.make()
        target = EMATarget(0.5, 1)
        masking = RandomMasking(0.5, mask_patch_size=8, seed=0)
        if encoder.output_grid != encoder.grid:
            with self.assertRaisesRegex(ValueError, "a token for each patch"):
                SimMIM(encoder, masking, target=target)
            return
        model = SimMIM(encoder, masking, target=target)
        found = target(self.images(encoder))
        shape = (encoder.num_patches, encoder.output_dim)
        self.assertEqual(tuple(found.shape[1:]), shape)
        self.assertEqual(model.head.target_dim, encoder.output_dim)

    def test_fine_tuning(self):
        encoder = self.make()
        images = self.images(encoder)
        model = Classifier(encoder, 3, head_stddev=0.1)
        ids = layer_ids(model)
        self.assertEqual(set(ids), set(range(len(encoder.blocks) + 2)))
        model.compile(
            LayerwiseAdamW(
                1e-2,
                learning_rate_scales=layer_scales(model, 0.5),
                decayed=decayed_weights(model),
            ),
            SPARSE,
            # Tracing this step takes longer than the step.
            run_eagerly=keras.backend.backend() == "tensorflow",
        )
        before = self.output(encoder, images)
        model.fit(images, LABELS, verbose=0)
        self.assertAllEqual(self.output(encoder, images), before)
        # What comes out of one classifier goes into another, pooled anyhow.
        for pooling in ("mean", "cls")[: 1 + encoder.num_prefix_tokens]:
            again = Classifier(model.encoder, 3, pooling)
            logits = self.output(again, images)
            self.assertTrue(np.isfinite(logits).all())

    def test_partial_fine_tuning(self):
        number = len(self.make().blocks)
        for blocks in (0, 1, number):
            model = Classifier(self.make(), 3)
            train_last_blocks(model, blocks)
            ids = layer_ids(model)
            first = 0 if blocks == number else number + 1 - blocks
            self.assertEqual(min(ids), first)
        model = Classifier(self.make(), 3)
        whole = len(model.trainable_weights)
        if not self.has_halves:
            with self.assertRaisesRegex(ValueError, "must be whole"):
                train_last_blocks(model, 0.5)
            self.assertEqual(len(model.trainable_weights), whole)
            return
        train_last_blocks(model, 0.5)
        paths = [weight.path for weight in model.trainable_weights]
        self.assertTrue(any("mlp_out" in path for path in paths))
        self.assertFalse(any("attention" in path for path in paths))
        self.assertEqual(min(layer_ids(model)), number)

    def test_probe_is_frozen_and_judges_the_encoder_as_it_is(self):
        encoder = self.make()
        images = self.images(encoder)
        probe = LinearProbe(encoder, 3)
        self.assertEqual(len(probe.trainable_weights), 2)
        tokens = self.output(encoder, images)
        expected = tokens[:, 0]
        if encoder.default_pooling == "mean":
            expected = tokens[:, encoder.num_prefix_tokens :].mean(axis=1)
        self.assertAllClose(probe.features(images), expected, 1e-5, 1e-5)
        self.assertAllClose(
            probe.folded()(images),
            probe(images, training=False),
            1e-5,
            1e-5,
        )
