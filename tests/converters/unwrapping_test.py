"""Checkpoints as frameworks wrap them. The layouts are theirs, by hand."""

import warnings

import numpy as np
import pytest

import keras_mim
from keras_mim import converters
from keras_mim.converters._unwrapping import unwrap
from tests import tiny
from tests.converters import published
from tests.test_case import TestCase

torch = pytest.importorskip("torch")


def prefixed(prefix, arrays):
    return {f"{prefix}{name}": value for name, value in arrays.items()}


class UnwrappingTest(TestCase):
    def setUp(self):
        super().setUp()
        self.arrays = published.tiny()
        self.other = published.tiny(seed=1)

    def assert_taken(self, content, label, outside=()):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            found = unwrap(content, "a.pth")
        self.assertEqual(found.arrays.keys(), self.arrays.keys())
        for name, array in self.arrays.items():
            self.assertAllEqual(found.arrays[name], array)
        self.assertEqual((found.taken, found.outside), (label, tuple(outside)))

    def test_wrappings_come_off_in_any_order(self):
        for prefix in (
            "",
            "module.",
            "_orig_mod.",
            "module._orig_mod.",
            "_orig_mod.module.",
            "model.",
            "backbone.",
            "encoder.",
            "net.",
            "vit.",
            "model.module.backbone.vit.",
            "_fsdp_wrapped_module.",
        ):
            label = prefix.replace("_orig_mod.", "")
            label = label.replace("_fsdp_wrapped_module.", "").rstrip(".")
            arrays = prefixed(prefix, self.arrays)
            self.assert_taken(arrays, label)
            for keys in (
                ("state_dict",),
                ("model",),
                ("module",),
                ("model_state_dict",),
                ("teacher",),
                ("ema",),
                ("network", "weights"),
            ):
                content = {"epoch": 3, **arrays} if not keys else arrays
                for key in reversed(keys):
                    content = {key: content, "epoch": 3, "optimizer": {}}
                whole = ".".join([*keys, label]).rstrip(".")
                self.assert_taken(content, whole)

    def test_names_inside(self):
        # Blocks that are compiled, or checkpointed, one by one.
        for infix in ("_orig_mod.", "_checkpoint_wrapped_module."):
            arrays = {
                k.replace("blocks.0.", f"blocks.0.{infix}"): v
                for k, v in self.arrays.items()
            }
            self.assert_taken(arrays, "")

    def test_what_stands_beside_is_reported(self):
        lightning = {
            "pytorch-lightning_version": "2.6.0",
            "state_dict": {
                **prefixed("backbone._orig_mod.", self.arrays),
                "projector.0.weight": np.ones((4, 32), "float32"),
            },
            "hyper_parameters": {"lr": 0.1},
            "callbacks": {"ModelCheckpoint": {"best_model_path": ""}},
        }
        self.assert_taken(
            lightning, "state_dict.backbone", ["projector.0.weight"]
        )
        averaged = {**prefixed("module.", self.arrays), "n_averaged": 7}
        self.assert_taken(averaged, "module", ["n_averaged"])
        encoder = keras_mim.encoders.ViT((16, 16, 3), 4, 32, 2, 4, 128)
        report = converters.load_mae(encoder, lightning)
        self.assertEqual(report.unused, ("projector.0.weight",))
        self.assertIn("arrays loaded of 'state_dict.backbone'", str(report))

    def test_of_several_one_is_taken_and_named(self):
        path = self.temp_dir() / "last.pth"
        mine, other = (
            {k: torch.tensor(v) for k, v in arrays.items()}
            for arrays in (self.arrays, self.other)
        )
        for content, taken, left in (
            ({"model_ema": other, "model": mine}, "model", "model_ema"),
            (
                {"state_dict_ema": other, "state_dict": mine, "arch": "vit"},
                "state_dict",
                "state_dict_ema",
            ),
            (  # DINO's.
                {
                    "student": prefixed("module.backbone.", other),
                    "teacher": prefixed("backbone.", mine),
                },
                "teacher.backbone",
                "student.module.backbone",
            ),
            (  # MoCo v3's.
                {
                    "state_dict": {
                        **prefixed("module.momentum_encoder.", other),
                        **prefixed("module.base_encoder.", mine),
                    }
                },
                "state_dict.module.base_encoder",
                "state_dict.module.momentum_encoder",
            ),
        ):
            torch.save(content, path)
            encoder = keras_mim.encoders.ViT((16, 16, 3), 4, 32, 2, 4, 128)
            message = f"Taken: '{taken}'. Left: .'{left}'.*{path}#{left}'"
            with self.assertWarnsRegex(UserWarning, message):
                report = converters.load_mae(encoder, path)
            self.assertEqual(report.taken, taken)
            beta = encoder.norm.beta
            self.assertAllEqual(beta, self.arrays["norm.bias"])
            converters.load_mae(encoder, f"{path}#{left}")
            self.assertAllEqual(beta, self.other["norm.bias"])
        with self.assertRaisesRegex(ValueError, "under 'ema', but under"):
            converters.load_mae(encoder, f"{path}#ema")

    def test_no_telling_which(self):
        content = {"first": self.arrays, "second": self.other}
        with self.assertRaisesRegex(ValueError, "'first', 'second'.*dict"):
            converters.from_checkpoint(content)
        content = {"network": {"layer1.0.weight": np.ones(3, "float32")}}
        with self.assertRaisesRegex(ValueError, r"no weight .*\['network'\]"):
            converters.from_checkpoint(content)

    def test_names_that_are_a_familys_own_stay(self):
        mae = tiny.mae()
        simmim = tiny.simmim(tiny.swin())
        for model, layout in (
            (mae, "mae"),
            (mae, "hf"),
            (simmim, "simmim"),
            (simmim, "hf"),
        ):
            state = converters.to_torch_state_dict(model, layout)
            again = converters.from_checkpoint(
                {"state_dict": prefixed("model.", state)},
                (8, 12, 3),
                num_heads=2,
                decoder_num_heads=2,
                grid=model.encoder.grid,
            )
            self.assertIs(type(again), type(model))
            for weight, other in zip(again.weights, model.weights, strict=True):
                if "seed" not in weight.path:
                    self.assertAllEqual(weight, other)
