import keras
import numpy as np
import pytest

from keras_mim.encoders import Swin
from tests import reference
from tests.test_case import TestCase

# Grids 5 x 7 and, merged with padding, 3 x 4.
ARGUMENTS = {
    "image_shape": (20, 28, 3),
    "hidden_dim": 8,
    "depths": (2, 1),
    "num_heads": (1, 2),
    "window_size": 2,
}
IMAGES = np.random.default_rng(0).normal(size=(2, 20, 28, 3)).astype("float32")


def run(model):
    # Compiled: op by op, JAX takes ten times as long.
    return model.predict(IMAGES, verbose=0)


class SwinTest(TestCase):
    @pytest.mark.tensorflow_only  # Backends count alike; JAX takes long.
    def test_golden_parameter_counts(self):
        # Those of transformers' SwinModel and timm's SwinTransformer without
        # head, at 224 pixels. Counted by one block of every stage.
        for size, depths, expected in (
            ("tiny", (2, 2, 6, 2), 27_519_354),
            ("small", (2, 2, 18, 2), 48_837_258),
            ("base", (2, 2, 18, 2), 86_743_224),
            ("large", (2, 2, 18, 2), 194_995_476),
        ):
            one = Swin.from_size(size, (224, 224, 3), depths=(1, 1, 1, 1))
            count = one.count_params()
            for block, depth in zip(one.blocks, depths):
                count += (depth - 1) * block.count_params()
            self.assertEqual(count, expected)

    def test_attributes(self):
        encoder = Swin(**ARGUMENTS)
        self.assertEqual(encoder.image_shape, (20, 28, 3))
        self.assertEqual(encoder.patch_size, 4)
        self.assertEqual(encoder.grid, (5, 7))
        self.assertEqual(encoder.num_patches, 35)
        self.assertEqual(encoder.num_prefix_tokens, 0)
        self.assertEqual(encoder.output_grid, (3, 4))
        self.assertEqual(encoder.output_dim, 16)
        self.assertEqual(encoder.stride, 8)
        self.assertEqual(encoder.output_shape, (None, 12, 16))
        self.assertEqual([b.shift_size for b in encoder.blocks], [0, 1, 0])

    def test_stages_make_up_the_encoder(self):
        encoder = Swin(**ARGUMENTS)
        images = keras.Input((20, 28, 3))
        tokens = encoder.patch_embedding(images)
        self.assertEqual(tuple(tokens.shape), (None, 35, 8))
        tokens = encoder.trunk(encoder.position_embedding(tokens))
        self.assertAllClose(run(keras.Model(images, tokens)), run(encoder))

    def test_patches_are_normalised(self):
        encoder = Swin(**ARGUMENTS)
        tokens = self.to_numpy(encoder.patch_embedding(IMAGES))
        self.assertAllClose(tokens.mean(-1), np.zeros((2, 35)), atol=1e-5)
        self.assertAllClose(tokens.std(-1), np.ones((2, 35)), atol=1e-3)

    def test_other_images(self):
        for image_shape in ((4, 8, 1), (12, 4, 13), (16, 16, 3)):
            arguments = {**ARGUMENTS, "image_shape": image_shape}
            encoder = Swin(**arguments, patch_size=4)
            images = np.ones((1, *image_shape), "float32")
            tokens = encoder.predict(images, verbose=0)
            self.assertTrue(np.isfinite(tokens).all())
            height, width = encoder.output_grid
            self.assertEqual(tokens.shape, (1, height * width, 16))

    def test_drop_path_rises_linearly(self):
        encoder = Swin(**ARGUMENTS, drop_path_rate=0.2)
        rates = [block.drop_path_rate for block in encoder.blocks]
        self.assertAllClose(rates, [0, 0.1, 0.2])
        self.assertAllEqual(run(encoder), run(encoder))

    def test_feature_maps(self):
        encoder = Swin(**ARGUMENTS)
        reference.randomise(encoder)
        maps = encoder.feature_maps(encoder.input, layers=(1, 0))
        last, first = run(keras.Model(encoder.input, maps))
        self.assertEqual(first.shape, (2, 5, 7, 8))
        self.assertEqual(last.shape, (2, 3, 4, 16))
        norm = encoder.trunk.get_layer("norm")
        expected = run(encoder).reshape(2, 3, 4, 16)
        self.assertAllClose(norm(last), expected, 1e-5, 1e-5)
        merging, block = encoder.mergings[0], encoder.blocks[2]
        again = block(merging(first.reshape(2, 35, 8)))
        again = self.to_numpy(again).reshape(2, 3, 4, 16)
        self.assertAllClose(again, last, 1e-5, 1e-5)
        with self.assertRaisesRegex(ValueError, r"layers=\(2,\)"):
            encoder.feature_maps(IMAGES, layers=(2,))

    def test_saves_and_loads(self):
        encoder = Swin(**ARGUMENTS, dtype="mixed_bfloat16", mlp_ratio=2.5)
        path = self.temp_dir() / "encoder.keras"
        encoder.save(path)
        loaded = keras.saving.load_model(path)
        self.assertIsInstance(loaded, Swin)
        self.assertEqual(loaded.dtype_policy.name, "mixed_bfloat16")
        self.assertEqual(loaded.get_config(), encoder.get_config())
        for one, other in zip(encoder.weights, loaded.weights):
            self.assertEqual(one.path, other.path)
            self.assertAllEqual(one, other)

    def test_mixed_precision_keeps_float32_weights(self):
        encoder = Swin(**ARGUMENTS, dtype="mixed_bfloat16")
        self.assertEqual(
            keras.backend.standardize_dtype(encoder.output.dtype), "bfloat16"
        )
        self.assertEqual({w.dtype for w in encoder.weights}, {"float32"})
        exact = Swin(**ARGUMENTS)
        for weight, other in zip(exact.weights, encoder.weights):
            weight.assign(self.to_numpy(other))
        # bfloat16 keeps 8 bits; tokens are normalised.
        tokens = run(encoder).astype("float32")
        self.assertAllClose(tokens, run(exact), atol=0.1)

    def test_trains(self):
        encoder = Swin(**ARGUMENTS, drop_path_rate=0.1)
        target = np.random.default_rng(1).normal(size=(2, 12, 16))
        before = [self.to_numpy(w).copy() for w in encoder.trainable_weights]
        encoder.compile("sgd", "mse", jit_compile=self.jit_compile())
        encoder.fit(IMAGES, target.astype("float32"), verbose=0)
        for weight, old in zip(encoder.trainable_weights, before):
            self.assertTrue((self.to_numpy(weight) != old).any(), weight.path)

    def test_remat_reaches_every_block(self):
        for remat in (True, False):
            encoder = Swin(**ARGUMENTS, remat=remat)
            self.assertEqual({b.remat for b in encoder.blocks}, {remat})
            self.assertEqual(encoder.get_config()["remat"], remat)

    def test_wrong_arguments(self):
        for arguments, message in (
            ({"image_shape": (20, 30, 3)}, r"\(20, 30, 3\), patch_size=4"),
            ({"num_heads": (2,)}, r"depths=\(2, 1\), num_heads=\(2,\)"),
            ({"depths": (2, 0)}, r"depths=\(2, 0\)"),
            ({"num_heads": (1, 3)}, "hidden_dim=16, num_heads=3"),
            ({"window_size": 0}, "window_size=0"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                Swin(**{**ARGUMENTS, **arguments})

    def test_unknown_size(self):
        with self.assertRaisesRegex(ValueError, "size='huge'"):
            Swin.from_size("huge", (224, 224, 3))
