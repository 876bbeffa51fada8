"""SimMIM on Swin against transformers, and Swin's checkpoints."""

import numpy as np
import pytest

import keras_mim
from keras_mim import converters
from tests import tiny
from tests.parity.gradients import gradients
from tests.parity.peers import randomise
from tests.parity.record import check
from tests.parity.swin_comparison import hf_arrays
from tests.parity.swin_comparison import hf_entries
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PEER = "transformers SwinForMaskedImageModeling"
# Maps of 16, 8 and 4 tokens a side in windows of 4: transformers fails on a map
# that is smaller than the window.
SIDE = 64


def make_peer(cls, channels=3, patch_size=4):
    """Returns transformers' model with random weights everywhere."""
    peer = cls(
        transformers.SwinConfig(
            image_size=SIDE,
            patch_size=patch_size,
            num_channels=channels,
            embed_dim=16,
            depths=[2, 2, 2],
            num_heads=[2, 4, 8],
            window_size=4,
            encoder_stride=patch_size * 4,
            # Ours takes it over, and would drop in training.
            drop_path_rate=0.0,
            layer_norm_eps=1e-5,
        )
    ).eval()
    return randomise(peer)


def make_timm(image_shape, window_size=4):
    from timm.models.swin_transformer import SwinTransformer

    peer = SwinTransformer(
        img_size=image_shape[:2],
        patch_size=4,
        in_chans=image_shape[2],
        num_classes=5,
        embed_dim=16,
        depths=(2, 2),
        num_heads=(2, 4),
        window_size=window_size,
    ).eval()
    return randomise(peer)


class SimMIMSwinTest(TestCase):
    def save(self, peer):
        folder = self.temp_dir()
        peer.save_pretrained(folder)
        return folder

    def images(self, image_shape, batch_size=2):
        return tiny.images(batch_size, image_shape, seed=1)

    def test_prediction_loss_and_gradients(self):
        for channels in (3, 1):
            peer = make_peer(transformers.SwinForMaskedImageModeling, channels)
            ours = converters.from_checkpoint(self.save(peer))
            self.assertIsInstance(ours, keras_mim.SimMIM)
            self.assertEqual(ours.head.patches_per_side, 4)
            images = self.images((SIDE, SIDE, channels))
            masked = self.to_numpy(ours.masking(images))
            output = peer(
                torch.tensor(images.transpose(0, 3, 1, 2)),
                bool_masked_pos=torch.tensor(masked),
            )
            prediction = ours.predict_patches(images, masked)
            grid = ours.encoder.grid
            found = keras_mim.ops.unpatchify(prediction, grid, 4)
            theirs = output.reconstruction.detach().numpy()
            check(
                "SimMIM Swin prediction",
                self.to_numpy(found),
                theirs.transpose(0, 2, 3, 1),
                1e-5,
                PEER,
            )
            ours.compile("sgd")
            inputs = {"images": images, "masked": masked}
            loss, found = gradients(ours, inputs)
            check("SimMIM Swin loss", loss, output.loss.item(), 1e-5, PEER)
            output.loss.backward()
            theirs = hf_arrays(
                ours, {k: p.grad.numpy() for k, p in peer.named_parameters()}
            )
            names = hf_entries(ours)
            self.assertEqual(set(names), set(theirs))
            for name, entry in names.items():
                gradient = entry.to_checkpoint(found[entry.variable.path])
                if name.endswith("key.bias"):
                    # Zero but for rounding, as in MAE's test.
                    self.assertLess(np.abs(gradient).max(), 1e-6)
                    continue
                item, tolerance = "SimMIM Swin gradients", 1e-4
                if ".query." in name or ".key." in name:
                    # What is left when softmax's gradient takes the mean off
                    # values that are larger by far: rounding shows, 7e-11 here.
                    item, tolerance = f"{item}, queries and keys", 3e-4
                check(item, gradient, theirs[name], tolerance, PEER)

    def test_out_to_transformers(self):
        from safetensors.torch import save_file

        peer = make_peer(transformers.SwinForMaskedImageModeling)
        folder = self.save(peer)
        ours = converters.from_checkpoint(folder)
        for weight in ours.trainable_weights:
            weight.assign(weight * 0.9)
        state = converters.to_torch_state_dict(ours, "hf")
        save_file(state, folder / "model.safetensors")
        again, info = type(peer).from_pretrained(
            folder, output_loading_info=True
        )
        self.assertFalse(info["missing_keys"])
        self.assertFalse(info["unexpected_keys"])
        images = self.images((SIDE, SIDE, 3))
        masked = self.to_numpy(ours.masking(images))
        with torch.no_grad():
            theirs = again.eval()(
                torch.tensor(images.transpose(0, 3, 1, 2)),
                bool_masked_pos=torch.tensor(masked),
            ).reconstruction.numpy()
        prediction = ours.predict_patches(images, masked)
        found = keras_mim.ops.unpatchify(prediction, ours.encoder.grid, 4)
        check(
            "SimMIM Swin out to transformers",
            self.to_numpy(found),
            theirs.transpose(0, 2, 3, 1),
            1e-5,
            PEER,
        )

    def test_names_in_memory_and_encoder_alone(self):
        peer = make_peer(transformers.SwinForMaskedImageModeling)
        ours = converters.from_checkpoint(self.save(peer))
        report = converters.load_swin(ours, peer.state_dict())
        self.assertEqual((report.unused, report.missing), ((), ()))
        report = converters.load_swin(ours.encoder, peer.state_dict())
        self.assertIn("decoder.0.weight", report.unused)

    def test_simmims_own_files(self):
        peer = make_peer(transformers.SwinForMaskedImageModeling)
        ours = converters.from_checkpoint(self.save(peer))
        state = converters.to_torch_state_dict(ours, "simmim")
        self.assertIn("encoder.layers.1.downsample.reduction.weight", state)
        self.assertIn("encoder.mask_token", state)
        # What Microsoft's files hold beside the weights.
        index = "encoder.layers.0.blocks.1.attn.relative_position_index"
        state[index] = torch.zeros(16, 16, dtype=torch.int64)
        state["encoder.layers.0.blocks.1.attn_mask"] = torch.zeros(16, 16, 16)
        path = self.temp_dir() / "simmim_pretrain__swin_base.pth"
        torch.save({"model": state, "epoch": 99}, path)
        again = converters.from_checkpoint(path, image_shape=(SIDE, SIDE, 3))
        self.assertIsInstance(again, keras_mim.SimMIM)
        for a, b in zip(again.weights, ours.weights, strict=True):
            if a.dtype == "float32":
                self.assertAllEqual(a, b)
        report = converters.load_simmim(ours.encoder, path)
        self.assertEqual(report.missing, ())
        with self.assertRaisesRegex(ValueError, "image_shape=None"):
            converters.from_checkpoint(path)

    def test_timm_both_ways(self):
        pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
        for image_shape in ((32, 32, 3), (64, 96, 1)):
            peer = make_timm(image_shape)
            path = self.temp_dir() / "swin.pth"
            torch.save(peer.state_dict(), path)
            encoder = converters.from_checkpoint(path, image_shape)
            images = self.images(image_shape)
            pixels = torch.tensor(images.transpose(0, 3, 1, 2))
            with torch.no_grad():
                theirs = peer.forward_features(pixels).flatten(1, 2).numpy()
            found = self.to_numpy(encoder(images))
            check("Swin tokens from timm", found, theirs, 1e-5, "timm")

            again = make_timm(image_shape)
            torch.nn.init.zeros_(again.patch_embed.proj.weight)
            state = converters.to_torch_state_dict(encoder, "timm")
            result = again.load_state_dict(state, strict=False)
            self.assertEqual(result.unexpected_keys, [])
            with torch.no_grad():
                theirs = again.forward_features(pixels).flatten(1, 2).numpy()
            check("Swin tokens out to timm", theirs, found, 1e-5, "timm")

    def test_another_window(self):
        pytest.importorskip("scipy")
        pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
        peer = make_timm((32, 32, 3))
        encoder = keras_mim.encoders.Swin(
            (48, 48, 3), 4, 16, (2, 2), (2, 4), window_size=6
        )
        report = converters.load_swin(encoder, peer.state_dict())
        name = "layers.0.blocks.0.attn.relative_position_bias_table"
        self.assertEqual(report.reshaped[name], "(49, 2) to (121, 2)")
        expected = keras_mim.ops.resize_relative_positions(
            peer.state_dict()[name].numpy(), (4, 4), (6, 6)
        )
        self.assertAllEqual(encoder.blocks[0].attention.table, expected)
