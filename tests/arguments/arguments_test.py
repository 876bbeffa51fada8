import keras
import numpy as np
import pytest

import keras_mim
from tests import tiny
from tests.arguments.calls import base_calls
from tests.arguments.public import public_calls
from tests.test_case import TestCase

pytest.importorskip("tensorflow")
from tests.arguments import walk  # noqa: E402

# Of the wrong calls, which `python -m tests.arguments.all` makes all of.
STEP = 30


class ArgumentsTest(TestCase):
    def test_everything_public_has_a_base_call(self):
        calls = base_calls()
        for name, arguments in public_calls().items():
            self.assertIn(name, calls, f"no base call for {name}")
            lacking = set(arguments) - set(calls[name])
            self.assertFalse(lacking, f"no base value for {name}: {lacking}")
        self.assertEqual(set(calls) - set(public_calls()), set())

    def test_wrong_arguments_are_refused_by_name(self):
        trials = walk.wrong_trials()
        self.assertGreater(len(trials), 2000)
        named = refused = 0
        for trial in trials[::STEP]:
            outcome, message = walk.run(trial)
            self.assertIn(
                outcome, ("named", "unnamed", "raw"), f"{trial} {message}"
            )
            refused += 1
            named += outcome == "named"
        self.assertGreater(named / refused, 0.9)

    def test_numbers_of_numpy_survive_a_file(self):
        encoder = keras_mim.encoders.ViT(
            [np.int64(8), np.int32(12), 3],
            np.int64(4),
            hidden_dim=np.int32(8),
            num_layers=np.int64(1),
            num_heads=np.int16(2),
            mlp_dim=np.uint8(16),
            use_class_token=np.bool_(True),
            drop_path_rate=np.float32(0.5),
            layer_scale=np.float64(0.5),
        )
        mae = tiny.mae(
            encoder,
            masking=keras_mim.masking.RandomMasking(
                np.float32(0.5), seed=np.int64(3)
            ),
        )
        path = self.temp_dir() / "mae.keras"
        mae.save(path)
        again = keras.saving.load_model(path)
        self.assertEqual(again.encoder.image_shape, (8, 12, 3))
        self.assertEqual(again.encoder.drop_path_rate, 0.5)
        self.assertEqual(again.encoder.pyramid_outputs.keys(), {"P2"})

    def test_zero_is_a_value(self):
        with self.assertRaisesRegex(ValueError, "Received: masking=0"):
            keras_mim.SimMIM(tiny.vit(), masking=0)
        with self.assertRaisesRegex(ValueError, "Received: pooling=''"):
            keras_mim.transfer.Classifier(tiny.vit(), 2, pooling="")
        with self.assertRaisesRegex(ValueError, "Received: mask_patch_size=0"):
            keras_mim.ops.mask_from_picture(np.eye(8) > 0, 4, 0)
