import keras
import pytest

from keras_mim.encoders import SwinV2
from tests.test_case import TestCase

# Grids 5 x 7 and, merged with padding, 3 x 4.
ARGUMENTS = {
    "image_shape": (20, 28, 3),
    "hidden_dim": 8,
    "depths": (2, 1),
    "num_heads": (1, 2),
    "window_size": 2,
    "pretrained_window_sizes": (3, 0),
    "extra_norm_every": 2,
}


def count(size, image_shape):
    """Counts the parameters of a size without making them."""
    with keras.StatelessScope(initialize_variables=False):
        return SwinV2.from_size(size, image_shape).count_params()


class SwinV2Test(TestCase):
    @pytest.mark.tensorflow_only  # Backends count alike.
    def test_golden_parameter_counts(self):
        for size, expected in (
            # Those of timm's `swinv2_*_window8_256`, and of
            # `swinv2_large_window12_192`, without head.
            ("tiny", 27_578_154),
            ("small", 48_959_418),
            ("base", 86_893_816),
            ("large", 195_202_932),
            # The paper's 658 M, of which a head for 1000 classes has 2.8 M,
            # and 3.0 B.
            ("huge", 655_219_370),
            ("giant", 2_997_843_680),
        ):
            self.assertEqual(count(size, (256, 256, 3)), expected, size)

    def test_heads_have_32_channels(self):
        for size, config in SwinV2.sizes.items():
            for stage, heads in enumerate(config["num_heads"]):
                width = config["hidden_dim"] * 2**stage
                self.assertEqual(width, 32 * heads, size)

    def test_attributes(self):
        encoder = SwinV2(**ARGUMENTS)
        self.assertEqual(encoder.image_shape, (20, 28, 3))
        self.assertEqual(encoder.patch_size, 4)
        self.assertEqual(encoder.grid, (5, 7))
        self.assertEqual(encoder.num_patches, 35)
        self.assertEqual(encoder.num_prefix_tokens, 0)
        self.assertEqual(encoder.output_grid, (3, 4))
        self.assertEqual(encoder.output_dim, 16)
        self.assertEqual(encoder.stride, 8)
        self.assertEqual(encoder.output_shape, (None, 12, 16))
        for name, expected in (
            ("shift_size", [0, 1, 0]),
            ("pretrained_window_size", [3, 3, None]),
            # Counted in each stage.
            ("use_extra_norm", [False, True, False]),
        ):
            found = [getattr(block, name) for block in encoder.blocks]
            self.assertEqual(found, expected)

    def test_extra_norms_of_the_largest(self):
        for size, expected in (("huge", 3), ("giant", 7)):
            with keras.StatelessScope(initialize_variables=False):
                encoder = SwinV2.from_size(size, (64, 64, 3))
            with_norm = [b.name for b in encoder.blocks if b.use_extra_norm]
            self.assertEqual(len(with_norm), expected)
            for i, name in enumerate(with_norm):
                self.assertEqual(name, f"stage_2_block_{6 * i + 5}")

    def test_saves_and_loads(self):
        encoder = SwinV2(
            **ARGUMENTS,
            dtype="mixed_bfloat16",
            mlp_ratio=2.5,
            drop_path_rate=0.1,
            remat=True,
        )
        path = self.temp_dir() / "encoder.keras"
        encoder.save(path)
        loaded = keras.saving.load_model(path)
        self.assertIsInstance(loaded, SwinV2)
        self.assertEqual(loaded.get_config(), encoder.get_config())
        for one, other in zip(encoder.weights, loaded.weights):
            self.assertEqual(one.path, other.path)
            self.assertAllEqual(one, other)

    def test_weights_fit_another_window_and_image(self):
        encoder = SwinV2(**ARGUMENTS)
        other = SwinV2(
            **{**ARGUMENTS, "image_shape": (32, 24, 3), "window_size": 4}
        )
        other.set_weights(encoder.get_weights())

    def test_remat_reaches_every_block(self):
        for remat in (True, False):
            encoder = SwinV2(**ARGUMENTS, remat=remat)
            self.assertEqual({b.remat for b in encoder.blocks}, {remat})

    def test_wrong_arguments(self):
        for arguments, message in (
            ({"image_shape": (20, 30, 3)}, r"\(20, 30, 3\), patch_size=4"),
            ({"depths": (2, 0)}, r"depths=\(2, 0\)"),
            ({"num_heads": (1, 3)}, "hidden_dim=16, num_heads=3"),
            ({"window_size": 0}, "window_size=0"),
            ({"pretrained_window_sizes": (8,)}, r"2 non-neg.*sizes=\(8,\)"),
            (
                {"pretrained_window_sizes": (8, -1)},
                r"pretrained_window_sizes=\(8, -1\)",
            ),
            ({"extra_norm_every": 0}, "extra_norm_every=0"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                SwinV2(**{**ARGUMENTS, **arguments})

    def test_unknown_size(self):
        with self.assertRaisesRegex(ValueError, "size='enormous'"):
            SwinV2.from_size("enormous", (224, 224, 3))
