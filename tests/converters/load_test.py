import argparse
import sys
import types

import numpy as np
import pytest

import keras_mim
from keras_mim import converters
from tests.converters import published
from tests.test_case import TestCase

torch = pytest.importorskip("torch")


def make_encoder(image_shape=(16, 16, 3), **kwargs):
    return keras_mim.encoders.ViT(image_shape, 4, 32, 2, 4, 128, **kwargs)


def make_mae(image_shape=(16, 16, 3)):
    head = keras_mim.layers.MAEHead(16, 1, 2)
    return keras_mim.MAE(make_encoder(image_shape), head=head)


class LoadTest(TestCase):
    def weights(self, model):
        return {w.path: self.to_numpy(w).copy() for w in model.weights}

    def assert_unchanged_by(self, model, call, message):
        before = self.weights(model)
        with self.assertRaisesRegex(ValueError, message):
            call()
        for path, value in self.weights(model).items():
            self.assertAllEqual(value, before[path])

    def save(self, content, name="mae_pretrain_vit_tiny.pth"):
        path = self.temp_dir() / name
        torch.save(content, path)
        return path

    def tensors(self, arrays):
        return {k: torch.tensor(v) for k, v in arrays.items()}

    def test_every_weight_of_the_encoder_comes_from_its_array(self):
        arrays = published.tiny()
        encoder = make_encoder()
        report = converters.load_mae(encoder, arrays)
        self.assertEqual(set(report.loaded), set(arrays))
        self.assertEqual((report.unused, report.missing), ((), ()))
        self.assertEqual(report.reshaped, {})
        block = encoder.blocks[1]
        for array, weight in (
            (arrays["blocks.1.attn.qkv.weight"].T, "query_key_value.kernel"),
            (arrays["blocks.1.attn.proj.bias"], "projection.bias"),
        ):
            layer, kind = weight.split(".")
            found = getattr(getattr(block.attention, layer), kind)
            self.assertAllEqual(found, array)
        self.assertAllEqual(block.mlp_norm.beta, arrays["blocks.1.norm2.bias"])
        kernel = self.to_numpy(encoder.patch_embedding.projection.kernel)
        rows = arrays["patch_embed.proj.weight"].transpose(2, 3, 1, 0)
        self.assertAllEqual(kernel, rows.reshape(48, 32))

    def test_files_of_training_scripts(self):
        arrays = published.tiny(decoder=True)
        expected = make_mae()
        converters.load_mae(expected, arrays)
        tensors = self.tensors(arrays)
        options = argparse.Namespace(lr=0.1, model="mae_vit_base")
        for content in (
            tensors,
            {"model": tensors},
            {"model": tensors, "args": options, "epoch": 3, "optimizer": {}},
            {"state_dict": {f"module.{k}": v for k, v in tensors.items()}},
        ):
            mae = make_mae()
            converters.load_mae(mae, self.save(content))
            for found, right in zip(mae.weights, expected.weights, strict=True):
                self.assertAllEqual(found, right)

    def test_options_that_simmim_saves_with_its_weights(self):
        class CfgNode(dict):
            pass

        CfgNode.__module__ = "yacs.config"
        CfgNode.__qualname__ = "CfgNode"
        module = types.ModuleType("yacs.config")
        module.CfgNode = CfgNode
        sys.modules |= {"yacs": types.ModuleType("yacs"), "yacs.config": module}
        try:
            options = CfgNode(DATA=CfgNode(IMG_SIZE=192))
            path = self.save(
                {"model": self.tensors(published.tiny()), "config": options}
            )
        finally:
            del sys.modules["yacs"], sys.modules["yacs.config"]
        report = converters.load_mae(make_encoder(), path)
        self.assertIn("cls_token", report.loaded)

    def test_half_precision(self):
        arrays = published.tiny()
        for dtype in (torch.float16, torch.bfloat16):
            tensors = {
                k: torch.tensor(v, dtype=dtype) for k, v in arrays.items()
            }
            encoder = make_encoder()
            converters.load_mae(encoder, self.save(tensors))
            # bfloat16 keeps 8 bits.
            self.assertAllClose(
                encoder.blocks[0].mlp_in.kernel,
                arrays["blocks.0.mlp.fc1.weight"].T,
                rtol=2**-8,
            )

    def test_encoder_out_of_a_full_file(self):
        report = converters.load_mae(make_encoder(), published.tiny(True))
        self.assertIn("mask_token", report.unused)
        self.assertIn("decoder_blocks.0.norm1.weight", report.unused)
        self.assertIn("unused: mask_token", str(report))

    def test_encoder_file_into_a_mae_says_that_the_head_is_missing(self):
        mae, arrays = make_mae(), published.tiny()
        self.assert_unchanged_by(
            mae,
            lambda: converters.load_mae(mae, arrays),
            "the encoder alone, without the head.*"
            r"allow_missing=\('decoder', 'mask_token'\)",
        )
        report = converters.load_mae(
            mae, arrays, allow_missing=("decoder", "mask_token")
        )
        self.assertIn("decoder_pred.bias", report.missing)
        self.assertAllEqual(
            mae.encoder.blocks[0].mlp_in.bias, arrays["blocks.0.mlp.fc1.bias"]
        )

    def test_what_else_a_lack_may_mean(self):
        deeper = keras_mim.encoders.ViT((16, 16, 3), 4, 32, 3, 4, 128)
        self.assert_unchanged_by(
            deeper,
            lambda: converters.load_mae(deeper, published.tiny()),
            "lacks 12 of the 42 weights .* Has the model more blocks",
        )
        encoder = make_encoder()
        self.assert_unchanged_by(
            encoder,
            lambda: converters.load_hf_vit_mae(encoder, published.tiny()),
            "lacks 38 of the 38 .* is this the right loader",
        )

    def test_finetuned_file(self):
        shapes = published.finetuned_shapes(32, 2, 4, 10)
        shapes["pos_embed"] = (1, 17, 32)
        arrays = published.random_arrays(shapes, (4, 4))
        arrays["pos_embed"] = arrays["pos_embed"] + 0.1
        fixed = make_encoder()
        self.assert_unchanged_by(
            fixed,
            lambda: converters.load_mae(fixed, arrays, allow_missing=("norm",)),
            "wants a model with positions='learned'",
        )
        encoder = make_encoder(positions="learned")
        self.assert_unchanged_by(
            encoder,
            lambda: converters.load_mae(encoder, arrays),
            r"norm.bias.*allow_missing=\('norm',\)",
        )
        report = converters.load_mae(encoder, arrays, allow_missing=("norm",))
        self.assertEqual(set(report.missing), {"norm.weight", "norm.bias"})
        self.assertEqual(
            set(report.unused),
            {"head.weight", "head.bias", "fc_norm.weight", "fc_norm.bias"},
        )

    def test_fixed_positions_are_computed_anew(self):
        for shape in ((24, 40, 3), (8, 32, 3), (8, 8, 3)):
            mae = make_mae(shape)
            expected = self.to_numpy(make_mae(shape).encoder.weights[3])
            report = converters.load_mae(mae, published.tiny(decoder=True))
            self.assertAllEqual(mae.encoder.weights[3], expected)
            self.assertEqual(mae.encoder.weights[3].path[-5:], "table")
            grew = shape != (8, 32, 3)
            self.assertEqual(
                set(report.reshaped),
                {"pos_embed", "decoder_pos_embed"} if grew else set(),
            )

    def test_learned_positions_are_resized(self):
        arrays = published.tiny(grid=(4, 6))
        rng = np.random.default_rng(0)
        arrays["pos_embed"] = rng.normal(size=(1, 25, 32)).astype("float32")
        encoder = make_encoder((12, 20, 3), positions="learned")
        self.assert_unchanged_by(
            encoder,
            lambda: converters.load_mae(encoder, arrays),
            r"`pos_embed` holds 24 patches. Pass the checkpoint's grid",
        )
        converters.load_mae(encoder, arrays, grid=(4, 6))
        table = self.to_numpy(encoder.position_embedding.layers[-1].table)
        self.assertAllEqual(table[0, 0], arrays["pos_embed"][0, 0])
        old = torch.tensor(arrays["pos_embed"][:, 1:].reshape(1, 4, 6, 32))
        new = torch.nn.functional.interpolate(
            old.permute(0, 3, 1, 2), size=(3, 5), mode="bicubic"
        )
        new = new.permute(0, 2, 3, 1).reshape(15, 32).numpy()
        self.assertAllClose(table[0, 1:], new, 1e-5, 1e-5)

    def test_ambiguous_grid(self):
        arrays = published.tiny()
        arrays["pos_embed"] = np.ones((1, 17, 32), "float32")
        encoder = make_encoder((8, 32, 3), positions="learned")
        self.assert_unchanged_by(
            encoder,
            lambda: converters.load_mae(encoder, arrays),
            r"may be of any of the grids \[\(2, 8\), \(4, 4\)\]",
        )
        converters.load_mae(encoder, arrays, grid=(4, 4))

    def test_other_channels_on_request(self):
        arrays = published.tiny()
        kernel = arrays["patch_embed.proj.weight"]
        for channels in (1, 5):
            encoder = make_encoder((16, 16, channels))
            self.assert_unchanged_by(
                encoder,
                lambda: converters.load_mae(encoder, arrays),
                rf"`patch_embed.proj.weight` must have shape "
                rf"\(32, {channels}, 4, 4\). Received: shape \(32, 3, 4, 4\)",
            )
            report = converters.load_mae(encoder, arrays, adapt_channels=True)
            self.assertIn("patch_embed.proj.weight", report.reshaped)
            # A grey image looks the same as one and as three channels...
            found = self.to_numpy(encoder.patch_embedding.projection.kernel)
            found = found.reshape(4, 4, channels, 32)
            if channels == 1:
                sums = kernel.sum(axis=1).transpose(1, 2, 0)
                self.assertAllClose(found[:, :, 0], sums)
            # ... and more channels repeat the old ones, scaled.
            else:
                fourth = kernel[:, 0].transpose(1, 2, 0) * 3 / 5
                self.assertAllClose(found[:, :, 3], fourth)

    def test_wrong_content(self):
        for change, message in (
            ({"norm.bias": np.zeros(31, "float32")}, r"\(32,\).*\(31,\)"),
            ({"norm.bias": np.full(32, np.nan, "float32")}, "32 values of 32"),
            ({"norm.bias": np.zeros(32, "int64")}, "dtype int64"),
            ({"norm.bias": None}, "must be an array of numbers"),
            ({"blocks.2.norm1.bias": np.zeros(32, "float32")}, "no place for"),
            ({"cls_token": np.zeros((1, 1, 16), "float32")}, "cls_token"),
            ({"pos_embed": np.zeros((17, 32), "float32")}, "pos_embed"),
            ({"pos_embed": np.zeros((1, 0, 32), "float32")}, "pos_embed"),
        ):
            encoder = make_encoder()
            arrays = published.tiny() | change
            self.assert_unchanged_by(
                encoder, lambda: converters.load_mae(encoder, arrays), message
            )

    @pytest.mark.torch_only  # Slow, and the same on every backend.
    def test_base_and_large_files(self):
        for size, (width, depth, patch) in published.SIZES.items():
            # Huge: its widths and patches, without a gigabyte of blocks.
            depth = 2 if size == "huge" else depth
            shapes = published.encoder_shapes(width, depth, patch)
            side = 16 if size == "huge" else 14
            state = {}
            for i, (name, shape) in enumerate(shapes.items()):
                # One number per array, which a file keeps as one number.
                state[name] = torch.tensor(i / 1000).expand(shape)
            state["pos_embed"] = torch.tensor(
                published.sine_cosine((side, side), width)
            )
            path = self.save({"model": state}, f"mae_pretrain_vit_{size}.pth")
            encoder = converters.from_checkpoint(path)
            self.assertEqual(encoder.image_shape, (224, 224, 3))
            self.assertEqual(encoder.num_layers, depth)
            self.assertEqual(encoder.positions, "sine_cosine")
            if size != "huge":
                official = keras_mim.encoders.vit.SIZES[size]
                self.assertEqual(encoder.num_heads, official["num_heads"])
                self.assertEqual(
                    encoder.count_params(),
                    {"base": 85_798_656, "large": 303_301_632}[size],
                )
            last = f"blocks.{depth - 1}.mlp.fc2.weight"
            value = list(shapes).index(last) / 1000
            self.assertAllClose(encoder.blocks[-1].mlp_out.kernel[0, 0], value)
