import json
import unittest.mock

import numpy as np
import pytest

import keras_mim
from keras_mim import converters
from tests.converters import published
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.numpy")
HEADS = {"num_heads": 4, "decoder_num_heads": 2}


class FromCheckpointTest(TestCase):
    def save(self, arrays, name):
        path = self.temp_dir() / name
        torch.save(
            {"model": {k: torch.tensor(v) for k, v in arrays.items()}}, path
        )
        return path

    def hf_folder(self, model, config, shards=1):
        """Writes a folder as transformers does."""
        folder = self.temp_dir() / "vit"
        folder.mkdir()
        state = converters.to_torch_state_dict(model, "hf")
        arrays = {k: v.numpy() for k, v in state.items()}
        (folder / "config.json").write_text(json.dumps(config))
        if shards == 1:
            safetensors.save_file(arrays, folder / "model.safetensors")
            return folder
        weight_map = {}
        for i in range(shards):
            name = f"model-{i}.safetensors"
            part = dict(list(arrays.items())[i::shards])
            safetensors.save_file(part, folder / name)
            weight_map |= dict.fromkeys(part, name)
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": weight_map}))
        return folder

    def assert_same_weights(self, model, other):
        for a, b in zip(model.weights, other.weights, strict=True):
            self.assertAllEqual(a, b)

    def test_encoder_file(self):
        path = self.save(published.tiny(), "mae_pretrain_vit_base.pth")
        encoder = converters.from_checkpoint(path, num_heads=4)
        self.assertIsInstance(encoder, keras_mim.encoders.ViT)
        self.assertEqual(encoder.image_shape, (16, 16, 3))
        self.assertEqual(encoder.num_layers, 2)
        self.assertEqual(encoder.mlp_dim, 128)
        self.assertEqual(encoder.positions, "sine_cosine")

    def test_file_with_decoder(self):
        for name, normalize in (
            ("mae_pretrain_vit_base_full.pth", True),
            ("mae_visualize_vit_base.pth", False),
        ):
            path = self.save(published.tiny(decoder=True), name)
            mae = converters.from_checkpoint(path, **HEADS)
            self.assertIsInstance(mae, keras_mim.MAE)
            self.assertEqual(mae.target.normalize, normalize)
            self.assertEqual(mae.head.hidden_dim, 16)
            self.assertEqual(mae.head.num_layers, 1)
            images = np.random.rand(2, 16, 16, 3).astype("float32")
            result = mae.reconstruct(images)["reconstruction"]
            self.assertEqual(result.shape, images.shape)
        mae = converters.from_checkpoint(path, normalize=True, **HEADS)
        self.assertTrue(mae.target.normalize)

    def test_another_resolution_and_more_channels(self):
        arrays = published.tiny(decoder=True)
        mae = converters.from_checkpoint(
            arrays, image_shape=(24, 40, 3), **HEADS
        )
        self.assertEqual(mae.encoder.grid, (6, 10))
        encoder = converters.from_checkpoint(
            published.tiny(), image_shape=(16, 16, 13), num_heads=4
        )
        tokens = encoder(np.zeros((1, 16, 16, 13), "float32"))
        self.assertEqual(tuple(tokens.shape), (1, 17, 32))

    def test_oblong_checkpoint(self):
        arrays = published.tiny(grid=(2, 6))
        with self.assertRaisesRegex(ValueError, "12 patches. Pass its grid"):
            converters.from_checkpoint(arrays, num_heads=4)
        encoder = converters.from_checkpoint(arrays, num_heads=4, grid=(2, 6))
        self.assertEqual(encoder.image_shape, (8, 24, 3))
        self.assertEqual(encoder.positions, "sine_cosine")

    def test_heads_that_cannot_be_known(self):
        with self.assertRaisesRegex(ValueError, "Received: num_heads=None"):
            converters.from_checkpoint(published.tiny())
        with self.assertRaisesRegex(ValueError, "decoder_num_heads=None"):
            converters.from_checkpoint(published.tiny(True), num_heads=4)

    def test_something_else(self):
        resnet = {"layer1.0.conv1.weight": np.ones(8, "float32")}
        with self.assertRaisesRegex(ValueError, "is no ViT.*layer1.0"):
            converters.from_checkpoint(resnet)
        swin = {"layers.0.blocks.0.norm1.weight": np.ones(8, "float32")}
        with self.assertRaisesRegex(ValueError, "hold `patch_embed.proj"):
            converters.from_checkpoint(swin)

    def test_transformers_folders(self):
        mae = converters.from_checkpoint(published.tiny(True), **HEADS)
        config = {
            "image_size": 16,
            "num_attention_heads": 4,
            "decoder_num_attention_heads": 2,
            "norm_pix_loss": False,
        }
        for shards in (1, 3):
            folder = self.hf_folder(mae, config, shards)
            again = converters.from_checkpoint(folder)
            self.assertFalse(again.target.normalize)
            self.assert_same_weights(again, mae)
            report = converters.load_hf_vit_mae(mae, folder)
            self.assertEqual(report.unused, ())
        (folder / "model-1.safetensors").unlink()
        with self.assertRaisesRegex(ValueError, "model-1.safetensors"):
            converters.from_checkpoint(folder)
        (folder / "model.safetensors.index.json").unlink()
        with self.assertRaisesRegex(ValueError, "It holds: .*config.json"):
            converters.from_checkpoint(folder)

    def test_transformers_folder_of_pytorch_files(self):
        mae = converters.from_checkpoint(published.tiny(True), **HEADS)
        folder = self.temp_dir()
        state = converters.to_torch_state_dict(mae, "hf")
        torch.save(state, folder / "pytorch_model.bin")
        again = converters.from_checkpoint(folder, **HEADS)
        self.assert_same_weights(again, mae)
        # Safetensors are preferred where both are.
        arrays = {k: 2 * v.numpy() for k, v in state.items() if "pos" not in k}
        tables = {k: v.numpy() for k, v in state.items() if "pos" in k}
        safetensors.save_file(arrays | tables, folder / "model.safetensors")
        again = converters.from_checkpoint(folder, **HEADS)
        kernel = mae.encoder.blocks[0].mlp_in.kernel
        self.assertAllEqual(again.encoder.blocks[0].mlp_in.kernel, 2 * kernel)

    def test_hub(self):
        hub = pytest.importorskip("huggingface_hub")
        encoder = converters.from_checkpoint(published.tiny(), num_heads=4)
        folder = self.hf_folder(encoder, {"num_attention_heads": 4})

        def snapshot_download(name, allow_patterns):
            self.assertEqual(name, "owner/vit-mae-tiny")
            self.assertIn("config.json", allow_patterns)
            return str(folder)

        with unittest.mock.patch.object(
            hub, "snapshot_download", snapshot_download
        ):
            again = converters.from_checkpoint("hf://owner/vit-mae-tiny")
        self.assert_same_weights(again, encoder)
