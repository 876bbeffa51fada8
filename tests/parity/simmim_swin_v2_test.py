"""SimMIM on SwinV2 against transformers, and Swin v2's checkpoints."""

import numpy as np
import pytest

import keras_mim
from keras_mim import converters
from keras_mim.encoders import SwinV2
from tests import tiny
from tests.parity.gradients import gradients
from tests.parity.peers import randomise
from tests.parity.record import check
from tests.parity.swin_comparison import hf_arrays
from tests.parity.swin_comparison import hf_entries
from tests.parity.swin_comparison import pixels
from tests.parity.swin_comparison import timm_tokens
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PEER = "transformers Swinv2ForMaskedImageModeling"
TIMM = "timm SwinTransformerV2"
# Maps of 16 and 8 tokens a side in windows of 3: padded.
SIDE = 64
SMALL = {"depths": (2, 1), "num_heads": (2, 4)}


def make_peer():
    """Returns transformers' model with random weights everywhere."""
    return randomise(
        transformers.Swinv2ForMaskedImageModeling(
            transformers.Swinv2Config(
                image_size=SIDE,
                patch_size=4,
                embed_dim=16,
                window_size=3,
                pretrained_window_sizes=(4, 0),
                encoder_stride=8,
                # Ours takes it over, and would drop in training.
                drop_path_rate=0.0,
                layer_norm_eps=1e-5,
                **SMALL,
            )
        )
    ).eval()


def make_timm(image_shape, window_size=4, pretrained=(0, 0)):
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    return randomise(
        SwinTransformerV2(
            img_size=image_shape[:2],
            in_chans=image_shape[2],
            num_classes=5,
            embed_dim=16,
            window_size=window_size,
            pretrained_window_sizes=pretrained,
            **SMALL,
        )
    ).eval()


def saved(peer, folder):
    peer.save_pretrained(folder)
    return folder


def images_of(image_shape):
    return tiny.images(2, image_shape, seed=1)


class SimMIMSwinV2Test(TestCase):
    def reconstruction(self, model, images, masked):
        patches = model.predict_patches(images, masked)
        found = keras_mim.ops.unpatchify(patches, model.encoder.grid, 4)
        return self.to_numpy(found)

    def test_prediction_loss_gradients_and_back(self):
        peer = make_peer()
        ours = converters.from_checkpoint(saved(peer, self.temp_dir()))
        self.assertIsInstance(ours, keras_mim.SimMIM)
        self.assertIsInstance(ours.encoder, SwinV2)
        self.assertEqual(ours.encoder.pretrained_window_sizes, (4, 3))
        images = images_of((SIDE, SIDE, 3))
        masked = self.to_numpy(ours.masking(images))
        output = peer(pixels(images), bool_masked_pos=torch.tensor(masked))
        check(
            "SimMIM Swin v2 prediction",
            self.reconstruction(ours, images, masked),
            output.reconstruction.detach().numpy().transpose(0, 2, 3, 1),
            1e-5,
            PEER,
        )
        ours.compile("sgd")
        inputs = {"images": images, "masked": masked}
        loss, found = gradients(ours, inputs)
        check("SimMIM Swin v2 loss", loss, output.loss.item(), 1e-5, PEER)
        output.loss.backward()
        theirs = hf_arrays(
            ours, {k: p.grad.numpy() for k, p in peer.named_parameters()}
        )
        names = hf_entries(ours)
        self.assertEqual(set(names), set(theirs))
        for name, entry in names.items():
            gradient = entry.to_checkpoint(found[entry.variable.path])
            item = "SimMIM Swin v2 gradients"
            check(item, gradient, theirs[name], 1e-4, PEER)

        self.check_way_back(ours, images, masked)

    def check_way_back(self, ours, images, masked):
        from safetensors.torch import save_file

        folder = saved(make_peer(), self.temp_dir())
        for weight in ours.trainable_weights:
            weight.assign(weight * 0.9)
        state = converters.to_torch_state_dict(ours, "hf")
        save_file(state, folder / "model.safetensors")
        cls = transformers.Swinv2ForMaskedImageModeling
        again, info = cls.from_pretrained(folder, output_loading_info=True)
        self.assertFalse(info["missing_keys"])
        self.assertFalse(info["unexpected_keys"])
        with torch.no_grad():
            output = again.eval()(
                pixels(images), bool_masked_pos=torch.tensor(masked)
            )
        check(
            "SimMIM Swin v2 out to transformers",
            self.reconstruction(ours, images, masked),
            output.reconstruction.numpy().transpose(0, 2, 3, 1),
            1e-5,
            PEER,
        )
        # The encoder alone, and names without a prefix.
        report = converters.load_swin(ours.encoder, again.state_dict())
        self.assertIn("decoder.0.weight", report.unused)
        bare = {
            name.removeprefix("swinv2."): array
            for name, array in again.state_dict().items()
        }
        report = converters.load_swin(ours.encoder, bare)
        self.assertEqual(report.missing, ())

    def test_simmims_names(self):
        ours = converters.from_checkpoint(saved(make_peer(), self.temp_dir()))
        state = converters.to_torch_state_dict(ours, "simmim")
        self.assertIn("encoder.layers.0.downsample.reduction.weight", state)
        self.assertIn("encoder.layers.1.blocks.0.attn.cpb_mlp.0.bias", state)
        scale = state["encoder.layers.1.blocks.0.attn.logit_scale"]
        self.assertEqual(tuple(scale.shape), (4, 1, 1))
        # What Microsoft's files hold beside the weights; it tells of windows.
        for i, block in enumerate(ours.encoder.blocks):
            prefix = f"encoder.layers.{i // 2}.blocks.{i % 2}.attn"
            table = torch.tensor(block.attention.logarithms).reshape(1, 5, 5, 2)
            index = torch.zeros(9, 9, dtype=torch.int64)
            state[f"{prefix}.relative_coords_table"] = table
            state[f"{prefix}.relative_position_index"] = index
            state[f"{prefix}_mask"] = torch.zeros(9, 9, 9)
        path = self.temp_dir() / "simmim_pretrain__swinv2_base.pth"
        torch.save({"model": state, "epoch": 99}, path)
        again = converters.from_checkpoint(path, image_shape=(SIDE, SIDE, 3))
        self.assertIsInstance(again, keras_mim.SimMIM)
        self.assertEqual(
            again.encoder.get_config(),
            {**ours.encoder.get_config(), "name": again.encoder.name},
        )
        for a, b in zip(again.weights, ours.weights, strict=True):
            if a.dtype == "float32":
                self.assertAllEqual(a, b)
        report = converters.load_simmim(ours.encoder, path)
        self.assertEqual(report.missing, ())

    def test_timm_both_ways(self):
        pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
        image_shape = (64, 96, 1)
        peer = make_timm(image_shape)
        path = self.temp_dir() / "swin.pth"
        torch.save(peer.state_dict(), path)
        with self.assertRaisesRegex(ValueError, "window_size=None"):
            converters.from_checkpoint(path, image_shape)
        encoder = converters.from_checkpoint(path, image_shape, window_size=4)
        images = images_of(image_shape)
        with torch.no_grad():
            theirs = timm_tokens(peer, images).numpy()
        found = encoder.predict(images, verbose=0)
        check("Swin v2 tokens from timm", found, theirs, 1e-5, TIMM)

        again = make_timm(image_shape)
        torch.nn.init.zeros_(again.patch_embed.proj.weight)
        state = converters.to_torch_state_dict(encoder, "timm")
        result = again.load_state_dict(state, strict=False)
        self.assertEqual(result.unexpected_keys, [])
        self.assertTrue(all("head" in key for key in result.missing_keys))
        with torch.no_grad():
            theirs = timm_tokens(again, images).numpy()
        check("Swin v2 tokens out to timm", theirs, found, 1e-5, TIMM)

    def test_extra_norms(self):
        encoder = SwinV2(
            (32, 32, 3),
            hidden_dim=16,
            depths=(2, 1),
            num_heads=(2, 4),
            extra_norm_every=2,
        )
        state = converters.to_torch_state_dict(encoder, "swin")
        self.assertIn("layers.0.blocks.1.norm3.weight", state)
        again = converters.from_checkpoint(state, (32, 32, 3), window_size=8)
        self.assertEqual(again.extra_norm_every, 2)
        for layout in ("hf", "timm"):
            with self.assertRaisesRegex(ValueError, f"'{layout}'.*norm3"):
                converters.to_torch_state_dict(encoder, layout)

    def test_damaged_coordinates(self):
        encoder = SwinV2((32, 32, 3), hidden_dim=16, **SMALL)
        state = converters.to_torch_state_dict(encoder, "swin")
        for table in (torch.ones(1, 3, 5, 2), torch.full((1, 3, 3, 2), np.nan)):
            for stage in range(2):
                name = f"layers.{stage}.blocks.0.attn.relative_coords_table"
                state[name] = table
            with self.assertRaisesRegex(ValueError, "Received: shape"):
                converters.from_checkpoint(state, (32, 32, 3))

    def test_another_window_and_image(self):
        pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
        # Trained with windows of 4, now 6.
        state = make_timm((32, 32, 3)).state_dict()
        peer = make_timm((48, 48, 3), 6, pretrained=(4, 4))
        peer.load_state_dict(state)
        encoder = SwinV2(
            (48, 48, 3),
            hidden_dim=16,
            window_size=6,
            pretrained_window_sizes=(4, 4),
            **SMALL,
        )
        report = converters.load_swin(encoder, state)
        self.assertFalse(report.reshaped)
        images = images_of((48, 48, 3))
        with torch.no_grad():
            theirs = timm_tokens(peer, images).numpy()
        found = encoder.predict(images, verbose=0)
        check("Swin v2 tokens, another window", found, theirs, 1e-5, TIMM)
