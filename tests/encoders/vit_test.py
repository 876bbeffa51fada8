import keras
import numpy as np

from keras_mim.encoders import ViT
from tests import reference
from tests.test_case import TestCase

ARGUMENTS = {
    "image_shape": (8, 12, 3),
    "patch_size": 4,
    "hidden_dim": 8,
    "num_layers": 3,
    "num_heads": 2,
    "mlp_dim": 16,
}
IMAGES = np.random.default_rng(0).normal(size=(2, 8, 12, 3)).astype("float32")


class ViTTest(TestCase):
    def test_golden_parameter_counts(self):
        # The whole table's sizes; huge has patches of 14 pixels. Layers are
        # counted without making 630 million weights: by one block's count.
        for size, patch_size, expected in (
            ("base", 16, 85_798_656),
            ("large", 16, 303_301_632),
            ("huge", 14, 630_764_800),
        ):
            one = ViT.from_size(size, (224, 224, 3), patch_size, num_layers=1)
            block = one.blocks[0].count_params()
            num_layers = {"base": 12, "large": 24, "huge": 32}[size]
            count = one.count_params() + (num_layers - 1) * block
            self.assertEqual(count, expected)

    def test_attributes(self):
        encoder = ViT(**ARGUMENTS)
        self.assertEqual(encoder.image_shape, (8, 12, 3))
        self.assertEqual(encoder.grid, (2, 3))
        self.assertEqual(encoder.num_patches, 6)
        self.assertEqual(encoder.num_prefix_tokens, 1)
        self.assertEqual(encoder.hidden_dim, 8)
        self.assertEqual(len(encoder.blocks), 3)

    def test_stages_make_up_the_encoder(self):
        encoder = ViT(**ARGUMENTS)
        tokens = encoder.patch_embedding(IMAGES)
        tokens = encoder.trunk(encoder.position_embedding(tokens))
        self.assertAllClose(encoder(IMAGES), tokens)
        self.assertEqual(tuple(tokens.shape), (2, 7, 8))

    def test_equals_a_transformer_in_numpy(self):
        encoder = ViT(**ARGUMENTS)
        reference.randomise(encoder)
        w = reference.weights(encoder)
        x = (
            reference.patchify(IMAGES, 4)
            @ w["patch_embedding/projection/kernel"]
        )
        x = x + w["patch_embedding/projection/bias"]
        token = w["position_embedding/class_token/token"]
        x = np.concatenate([np.repeat(token, 2, axis=0), x], axis=1)
        x = x + w["position_embedding/positions/table"]
        expected = reference.transformer(x, w, num_heads=2)
        self.assertAllClose(encoder(IMAGES), expected, 1e-5, 1e-5)

    def test_same_images_give_the_same_tokens(self):
        encoder = ViT(**ARGUMENTS, drop_path_rate=0.5)
        self.assertAllEqual(encoder(IMAGES), encoder(IMAGES))

    def test_variants(self):
        for channels in (1, 13):
            for arguments, num_prefix_tokens in (
                ({"use_class_token": False}, 0),
                ({"positions": "learned", "layer_scale": 0.1}, 1),
                ({"positions": "relative", "use_key_bias": False}, 1),
                (
                    {"positions": "shared_relative", "use_class_token": False},
                    0,
                ),
            ):
                encoder = ViT(
                    **{
                        **ARGUMENTS,
                        **arguments,
                        "image_shape": (8, 12, channels),
                    }
                )
                tokens = encoder(np.ones((1, 8, 12, channels), "float32"))
                self.assertEqual(
                    tuple(tokens.shape), (1, num_prefix_tokens + 6, 8)
                )

    def test_drop_path_rises_linearly(self):
        encoder = ViT(**ARGUMENTS, drop_path_rate=0.2)
        rates = [block.drop_path_rate for block in encoder.blocks]
        self.assertAllClose(rates, [0, 0.1, 0.2])

    def test_relative_positions(self):
        for positions, num_tables in (("relative", 3), ("shared_relative", 1)):
            encoder = ViT(**ARGUMENTS, positions=positions)
            self.assertEqual(len(encoder.position_biases), num_tables)
            reference.randomise(encoder)
            tokens = self.to_numpy(encoder(IMAGES))
            maps = encoder.feature_maps(IMAGES, layers=(2,))[0]
            norm = encoder.trunk.get_layer("norm")
            last = norm(keras.ops.reshape(maps, (2, 6, 8)))
            self.assertAllClose(last, tokens[:, 1:], 1e-5, 1e-5)
            # They matter, and are all that tells patches of one content apart.
            flat = np.ones_like(IMAGES)
            patches = self.to_numpy(encoder(flat))[0, 1:]
            self.assertGreater(np.ptp(patches, axis=0).max(), 1e-3)
            for bias in encoder.position_biases:
                bias.table.assign(np.zeros(bias.table.shape))
            patches = self.to_numpy(encoder(flat))[0, 1:]
            self.assertLess(np.ptp(patches, axis=0).max(), 1e-5)

    def test_feature_maps(self):
        encoder = ViT(**ARGUMENTS)
        maps = encoder.feature_maps(IMAGES, layers=(2, 0))
        tokens = encoder.position_embedding(encoder.patch_embedding(IMAGES))
        tokens = encoder.blocks[0](tokens)
        self.assertEqual([tuple(m.shape) for m in maps], [(2, 2, 3, 8)] * 2)
        expected = self.to_numpy(tokens)[:, 1:].reshape(2, 2, 3, 8)
        self.assertAllClose(maps[1], expected)
        with self.assertRaisesRegex(ValueError, r"layers=\(3,\)"):
            encoder.feature_maps(IMAGES, layers=(3,))
        with self.assertRaisesRegex(ValueError, r"one or more .* layers=\(\)"):
            encoder.feature_maps(IMAGES, layers=())

    def test_feature_maps_build_a_functional_model(self):
        encoder = ViT(**ARGUMENTS)
        maps = encoder.feature_maps(encoder.input, layers=(0, 2))
        model = keras.Model(encoder.input, maps)
        outputs = model.predict(IMAGES, verbose=0)
        expected = encoder.feature_maps(IMAGES, layers=(0, 2))
        for output, value in zip(outputs, expected):
            self.assertAllClose(output, value, 1e-5, 1e-5)

    def test_saves_and_loads(self):
        encoder = ViT(
            **ARGUMENTS,
            dtype="mixed_bfloat16",
            layer_scale=0.1,
            positions="shared_relative",
            use_key_bias=False,
            initialization="beit",
            remat=True,
        )
        path = self.temp_dir() / "encoder.keras"
        encoder.save(path)
        loaded = keras.saving.load_model(path)
        self.assertIsInstance(loaded, ViT)
        self.assertEqual(loaded.dtype_policy.name, "mixed_bfloat16")
        self.assertEqual(loaded.get_config(), encoder.get_config())
        for one, other in zip(encoder.weights, loaded.weights):
            self.assertEqual(one.path, other.path)
            self.assertAllEqual(one, other)

    def test_mixed_precision_keeps_float32_weights(self):
        encoder = ViT(**ARGUMENTS, dtype="mixed_bfloat16")
        tokens = encoder(IMAGES)
        self.assertEqual(
            keras.backend.standardize_dtype(tokens.dtype), "bfloat16"
        )
        self.assertEqual({w.dtype for w in encoder.weights}, {"float32"})

    def test_wrong_arguments(self):
        for arguments, message in (
            ({"image_shape": (8, 10, 3)}, r"\(8, 10, 3\), patch_size=4"),
            ({"num_heads": 3}, "hidden_dim=8, num_heads=3"),
            ({"hidden_dim": 6}, "Received: hidden_dim=6"),
            ({"positions": "rope"}, "'rope'"),
            ({"image_shape": 64}, "image_shape=64"),
            ({"num_layers": -1}, "num_layers=-1"),
            ({"num_layers": 1.5}, "num_layers=1.5"),
            ({"num_heads": 0}, "num_heads=0"),
            ({"mlp_dim": "4"}, "mlp_dim='4'"),
            ({"drop_path_rate": 1.0}, "drop_path_rate=1.0"),
            ({"normalization": 0.5}, "normalization=0.5"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                ViT(**{**ARGUMENTS, **arguments})

    def test_weights_of_other_kinds_are_refused_as_a_whole(self):
        encoder = ViT(**ARGUMENTS)
        before = encoder.get_weights()
        for changes, message in (
            ({"layer_scale": 0.1}, "same kinds of weights"),
            ({"mlp_dim": 4}, "must have shape"),
            ({"num_layers": 1}, "as many blocks"),
            ({"positions": "relative"}, "positions='relative'"),
            ({"image_shape": (8, 12, 1), "normalization": None}, "shape"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                encoder.copy(**changes)
            other = ViT(**{**ARGUMENTS, **changes})
            with self.assertRaisesRegex(ValueError, "Received"):
                encoder.load_weights_of(other)
        for weight, value in zip(encoder.get_weights(), before, strict=True):
            self.assertAllEqual(weight, value)

    def test_unknown_size(self):
        with self.assertRaisesRegex(ValueError, "size='giant'"):
            ViT.from_size("giant", (224, 224, 3), 16)
