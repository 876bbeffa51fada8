import math
import pathlib

import keras
import numpy as np
import pytest

from keras_mim.converters.load_dalle import load_dalle
from keras_mim.targets import DalleEncoder
from tests.test_case import TestCase


def published(width=256, blocks=2, tokens=8192):
    """Names and shapes in DALL-E's file, written down independently."""
    shapes = {"blocks.input": (width, 3, 7, 7)}
    into = width
    for group, out in enumerate((width, 2 * width, 4 * width, 8 * width), 1):
        for block in range(1, blocks + 1):
            prefix = f"blocks.group_{group}.block_{block}"
            if into != out:
                shapes[f"{prefix}.id_path"] = (out, into, 1, 1)
            inner = out // 4
            path = f"{prefix}.res_path.conv"
            shapes[f"{path}_1"] = (inner, into, 3, 3)
            shapes[f"{path}_2"] = (inner, inner, 3, 3)
            shapes[f"{path}_3"] = (inner, inner, 3, 3)
            shapes[f"{path}_4"] = (out, inner, 1, 1)
            into = out
    shapes["blocks.output.conv"] = (tokens, into, 1, 1)
    return {f"{k}.w": v for k, v in shapes.items()} | {
        f"{k}.b": v[:1] for k, v in shapes.items()
    }


def tiny():
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=shape).astype("float32")
        for name, shape in published(8, 1, 5).items()
    }


class LoadDalleTest(TestCase):
    def setUp(self):
        super().setUp()
        self.encoder = DalleEncoder(8, 1, 5)
        self.arrays = tiny()

    def refused(self, arrays, message):
        """Checks the error, and that nothing has changed."""
        before = self.encoder.get_weights()
        with self.assertRaisesRegex(ValueError, message):
            load_dalle(self.encoder, arrays)
        for now, old in zip(self.encoder.get_weights(), before, strict=True):
            self.assertAllEqual(now, old)

    def test_every_weight_has_its_place(self):
        path = self.temp_dir() / "encoder.npz"
        np.savez(path, **self.arrays)
        report = load_dalle(self.encoder, path)
        self.assertEqual(report.source, str(path))
        self.assertEqual(set(report.loaded), set(self.arrays))
        self.assertEqual(len(self.encoder.weights), len(self.arrays))
        for ours, theirs in (
            ("input", "blocks.input"),
            (
                "group_2_block_1_conv_3",
                "blocks.group_2.block_1.res_path.conv_3",
            ),
            ("group_4_block_1_identity", "blocks.group_4.block_1.id_path"),
            ("output", "blocks.output.conv"),
        ):
            layer = self.encoder.get_layer(ours)
            kernel = self.arrays[f"{theirs}.w"].transpose(2, 3, 1, 0)
            self.assertAllEqual(layer.kernel, kernel)
            self.assertAllEqual(layer.bias, self.arrays[f"{theirs}.b"])

    def test_blocks_beyond_nine(self):
        shapes = published(8, 11, 5)
        arrays = {k: np.ones(v, "float32") for k, v in shapes.items()}
        report = load_dalle(DalleEncoder(8, 11, 5), arrays)
        self.assertIn(
            "blocks.group_3.block_11.res_path.conv_1.w", report.loaded
        )

    def test_the_published_size(self):
        sizes = [math.prod(shape) for shape in published().values()]
        self.assertEqual((len(sizes), sum(sizes)), (74, 53_786_240))

    def test_wrong_arrays(self):
        name = "blocks.group_2.block_1.id_path.w"
        array = self.arrays.pop(name)
        self.refused(self.arrays, f"lacks 1 of the 42 weights .* {name}")
        arrays = {**self.arrays, name: array}
        self.refused(
            {**arrays, "blocks.group_2.block_2.id_path.w": array},
            "holds 1 arrays that .* no place for: blocks.group_2.block_2",
        )
        self.refused(
            {**arrays, name: array.transpose(1, 0, 2, 3)},
            rf"`{name}` must have shape \(16, 8, 1, 1\). "
            r"Received: shape \(8, 16, 1, 1\)",
        )
        self.refused(
            {**arrays, name: array.astype("int32")}, "Received: dtype int32"
        )
        array[3, 2] = np.nan
        self.refused(
            {**arrays, name: array}, f"`{name}` must be finite. Received: 1 "
        )
        self.refused({}, "lacks 42 of the 42")

    def test_pickled_modules_are_refused(self):
        for path in ("encoder.pkl", pathlib.Path("folder/encoder.pkl")):
            self.refused(path, r"runs code .* torch.save\(torch.load\(")
        self.refused("encoder.pth", "There is no 'encoder.pth'")

    def test_a_module_that_was_saved_as_pth_is_refused(self):
        torch = pytest.importorskip("torch")
        path = self.temp_dir() / "encoder.pth"
        torch.save(torch.nn.Linear(2, 2), path)
        self.refused(path, "could run code")

    def test_other_models(self):
        model = keras.Sequential([keras.Input((8, 8, 3))])
        with self.assertRaisesRegex(
            ValueError, "Received: encoder=<Sequential"
        ):
            load_dalle(model, self.arrays)
