"""SimMIM on a ViT against transformers' masked image modelling head."""

import numpy as np
import pytest

import keras_mim
from keras_mim import converters
from keras_mim.converters._checkpoint import Checkpoint
from keras_mim.converters.layouts import HF
from tests.parity.gradients import gradients
from tests.parity.peers import randomise
from tests.parity.record import check
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PEER = "transformers ViTForMaskedImageModeling"


def make_peer(cls, image_size=64, channels=3):
    """Returns transformers' model with random weights everywhere."""
    peer = cls(
        transformers.ViTConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            image_size=image_size,
            patch_size=8,
            encoder_stride=8,
            num_channels=channels,
            layer_norm_eps=1e-6,
        )
    ).eval()
    return randomise(peer)


class HFViTTest(TestCase):
    def save(self, peer):
        folder = self.temp_dir()
        peer.save_pretrained(folder)
        return folder

    def test_prediction_loss_and_gradients(self):
        for channels in (3, 1):
            peer = make_peer(
                transformers.ViTForMaskedImageModeling, channels=channels
            )
            ours = converters.from_checkpoint(self.save(peer))
            self.assertIsInstance(ours, keras_mim.SimMIM)
            rng = np.random.default_rng(1)
            images = rng.normal(size=(3, 64, 64, channels)).astype("float32")
            masked = self.to_numpy(ours.masking(images))
            pixels = torch.tensor(images.transpose(0, 3, 1, 2))
            output = peer(pixels, bool_masked_pos=torch.tensor(masked))
            prediction = ours.predict_patches(images, masked)
            found = keras_mim.ops.unpatchify(prediction, (8, 8), 8)
            expected = output.reconstruction.detach().numpy()
            check(
                "SimMIM prediction",
                self.to_numpy(found),
                expected.transpose(0, 2, 3, 1),
                1e-5,
                PEER,
            )
            ours.compile("sgd")
            inputs = {"images": images, "masked": masked}
            loss, found = gradients(ours, inputs)
            check("SimMIM loss", loss, output.loss.item(), 1e-5, PEER)
            output.loss.backward()
            theirs = {k: p.grad.numpy() for k, p in peer.named_parameters()}
            theirs = HF.read(Checkpoint("the peer", theirs)).arrays
            names = HF.entries(ours)
            self.assertEqual(set(names), set(theirs))
            for name, entry in names.items():
                gradient = entry.to_checkpoint(found[entry.variable.path])
                if name.endswith("key.bias"):
                    # Zero but for rounding, as in MAE's test.
                    self.assertLess(np.abs(gradient).max(), 1e-6)
                    continue
                check("SimMIM gradients", gradient, theirs[name], 1e-4, PEER)

    def test_out_to_transformers(self):
        from safetensors.torch import save_file

        peer = make_peer(transformers.ViTForMaskedImageModeling)
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
        images = np.random.rand(2, 64, 64, 3).astype("float32")
        masked = self.to_numpy(ours.masking(images))
        with torch.no_grad():
            theirs = again.eval()(
                torch.tensor(images.transpose(0, 3, 1, 2)),
                bool_masked_pos=torch.tensor(masked),
            ).reconstruction.numpy()
        prediction = ours.predict_patches(images, masked)
        found = keras_mim.ops.unpatchify(prediction, (8, 8), 8)
        check(
            "out to transformers",
            self.to_numpy(found),
            theirs.transpose(0, 2, 3, 1),
            1e-5,
            PEER,
        )

    def test_encoders_of_other_models(self):
        images = np.random.rand(2, 64, 64, 3).astype("float32")
        for cls in (
            transformers.ViTModel,
            transformers.ViTForImageClassification,
        ):
            peer = make_peer(cls)
            encoder = converters.from_checkpoint(self.save(peer))
            self.assertIsInstance(encoder, keras_mim.encoders.ViT)
            vit = getattr(peer, "vit", peer)
            with torch.no_grad():
                pixels = torch.tensor(images.transpose(0, 3, 1, 2))
                expected = vit(pixels).last_hidden_state.numpy()
            found = self.to_numpy(encoder(images))
            check("encoder tokens, ViTModel", found, expected, 1e-5, PEER)

    def test_names_in_memory(self):
        peer = make_peer(transformers.ViTForMaskedImageModeling)
        ours = converters.from_checkpoint(self.save(peer))
        report = converters.load_hf_vit(ours, peer.state_dict())
        self.assertEqual((report.unused, report.missing), ((), ()))
