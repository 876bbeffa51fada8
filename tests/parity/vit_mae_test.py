"""MAE against transformers' ViTMAE: same weights, images and masks."""

import tempfile
import unittest.mock

import keras
import numpy as np
import pytest

import keras_mim
from keras_mim.converters._checkpoint import Checkpoint
from keras_mim.converters.layouts import HF
from tests.parity.gradients import gradients
from tests.parity.record import check
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PEER = "transformers ViTMAEForPreTraining"
PATCH_SIZE = 4
# (height, width, channels), mask ratio, whether pixels are normalised.
CASES = [
    ((16, 16, 3), 0.75, True),
    ((16, 16, 3), 0.75, False),
    ((16, 16, 1), 0.5, True),
    ((16, 40, 3), 0.9, True),
    ((24, 16, 1), 0.5, False),
]


def make_peer(image_shape, mask_ratio, normalize):
    """Returns transformers' model with random weights everywhere."""
    from transformers.models.vit_mae import modeling_vit_mae as modeling

    height, width, channels = image_shape
    config = transformers.ViTMAEConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=(height, width),
        patch_size=PATCH_SIZE,
        num_channels=channels,
        mask_ratio=mask_ratio,
        norm_pix_loss=normalize,
        layer_norm_eps=1e-6,
        decoder_hidden_size=16,
        decoder_num_hidden_layers=2,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
    )
    # Its initialisation knows square grids only; its forward pass knows all.
    nothing = unittest.mock.patch.object
    with (
        nothing(modeling.ViTMAEDecoder, "initialize_weights"),
        nothing(modeling.ViTMAEEmbeddings, "initialize_weights"),
    ):
        peer = transformers.ViTMAEForPreTraining(config)
    rng = np.random.default_rng(0)
    grid = height // PATCH_SIZE, width // PATCH_SIZE
    with torch.no_grad():
        for name, parameter in peer.named_parameters():
            if name.endswith(("position_embeddings", "decoder_pos_embed")):
                # From the definition; the peer leaves zeros in the decoder.
                table = keras_mim.ops.sine_cosine_positions(
                    grid, parameter.shape[-1], 1
                )
                parameter.copy_(torch.tensor(table[None]))
            else:
                values = rng.normal(0, 0.1, tuple(parameter.shape))
                if "layernorm" in name or "_norm" in name:
                    values += 1.0
                parameter.copy_(torch.tensor(values))
    return peer


def make_ours(peer):
    """Returns our model, the peer's weights taken over through its files."""
    with tempfile.TemporaryDirectory() as folder:
        peer.save_pretrained(folder)
        return keras_mim.converters.from_checkpoint(folder)


def draw(image_shape, mask_ratio, batch_size=3):
    """Returns images, masks, and the noise that makes the peer's masks."""
    rng = np.random.default_rng(1)
    images = rng.normal(size=(batch_size, *image_shape)).astype("float32")
    num_patches = image_shape[0] * image_shape[1] // PATCH_SIZE**2
    num_visible = int(num_patches * (1 - mask_ratio))
    masked = np.arange(num_patches) >= num_visible
    masked = rng.permuted(np.tile(masked, (batch_size, 1)), axis=1)
    # Visible patches first, and in image order, as ours are.
    noise = masked + np.linspace(0, 0.5, num_patches)
    return images, masked, noise.astype("float32")


def run_peer(peer, images, noise):
    """Returns the peer's encoder tokens, and its output."""
    pixels = torch.tensor(images.transpose(0, 3, 1, 2))
    noise = torch.tensor(noise)
    patchify = peer.patchify

    def any_shape(pixels, interpolate_pos_encoding):
        # The flag only switches off its check for square images.
        return patchify(pixels, interpolate_pos_encoding=True)

    with unittest.mock.patch.object(peer, "patchify", any_shape):
        output = peer(pixels, noise=noise)
    with torch.no_grad():
        tokens = peer.vit(pixels, noise=noise).last_hidden_state
    return tokens.numpy(), output


def peer_arrays(named):
    """Returns arrays by the names in the peer's files."""
    arrays = {name: t.detach().numpy() for name, t in named}
    return HF.read(Checkpoint("the peer", arrays)).arrays


class ViTMAETest(TestCase):
    def test_tokens_prediction_loss_and_gradients(self):
        for image_shape, mask_ratio, normalize in CASES:
            with self.subTest(image_shape=image_shape, ratio=mask_ratio):
                self.compare(image_shape, mask_ratio, normalize)

    def compare(self, image_shape, mask_ratio, normalize):
        peer = make_peer(image_shape, mask_ratio, normalize)
        ours = make_ours(peer)
        self.assertEqual(ours.target.normalize, normalize)
        ours.masking.mask_ratio = mask_ratio
        images, masked, noise = draw(image_shape, mask_ratio)
        their_tokens, output = run_peer(peer, images, noise)
        self.assertAllEqual(output.mask.numpy() == 1, masked)
        num_masked = int(masked[0].sum())
        inputs = {"images": images, "masked": masked}
        tokens = ours.encode(images, masked, num_masked)
        check(
            "MAE tokens",
            self.to_numpy(tokens),
            their_tokens,
            1e-5,
            PEER,
        )
        check(
            "MAE prediction",
            ours.predict_patches(images, masked),
            output.logits.detach().numpy(),
            1e-5,
            PEER,
        )
        ours.compile("sgd")
        loss, found = gradients(ours, inputs)
        pixels = "normalised" if normalize else "raw"
        check(
            f"MAE loss, {pixels} pixels", loss, output.loss.item(), 1e-5, PEER
        )
        output.loss.backward()
        theirs = peer_arrays(
            (name, p.grad)
            for name, p in peer.named_parameters()
            if p.grad is not None
        )
        compared = 0
        for name, entry in HF.entries(ours).items():
            if not entry.variable.trainable:
                continue
            compared += 1
            gradient = entry.to_checkpoint(found[entry.variable.path])
            if name.endswith("key.bias"):
                # A key's bias shifts all logits of a query alike: its gradient
                # is zero, and what is left is rounding.
                self.assertLess(np.abs(gradient).max(), 1e-6)
                continue
            check("MAE gradients", gradient, theirs[name], 1e-4, PEER)
        self.assertEqual(
            compared, sum(p.requires_grad for p in peer.parameters())
        )

    def test_out_to_transformers(self):
        from safetensors.torch import save_file

        peer = make_peer((16, 16, 3), 0.75, True)
        ours = make_ours(peer)
        images, masked, noise = draw((16, 16, 3), 0.75)
        for weight in ours.trainable_weights:
            weight.assign(weight * 0.9)
        folder = self.temp_dir()
        peer.config.save_pretrained(folder)
        state = keras_mim.converters.to_torch_state_dict(ours, "hf")
        save_file(state, folder / "model.safetensors")
        again, info = type(peer).from_pretrained(
            folder, output_loading_info=True
        )
        self.assertFalse(info["missing_keys"])
        self.assertFalse(info["unexpected_keys"])
        check(
            "MAE out to transformers",
            run_peer(again, images, noise)[1].logits.detach().numpy(),
            ours.predict_patches(images, masked),
            1e-5,
            PEER,
        )

    def test_three_steps_of_adamw(self):
        # Keras adds epsilon to the root of the second moment, torch to that
        # of the bias-corrected one: at step t, Keras's epsilon is torch's
        # times sqrt(1 - beta_2 ** t). Told so, torch must do the same.
        self.compare_training(
            "3 steps of AdamW, same epsilon",
            lambda step: 1e-8 / (1 - 0.95**step) ** 0.5,
            tolerance=1e-4,
        )

    def test_three_steps_of_adamw_with_epsilon_as_torch_has_it(self):
        # Weights whose gradient is about 1e-8 move otherwise in the first
        # steps: by up to the learning rate of 1e-3, where weights reach 0.4.
        self.compare_training(
            "3 steps of AdamW, torch's epsilon",
            lambda step: 1e-8,
            tolerance=3e-3,
        )

    def compare_training(self, item, epsilon, tolerance):
        peer = make_peer((16, 16, 3), 0.75, True)
        ours = make_ours(peer)
        images, masked, noise = draw((16, 16, 3), 0.75)
        parameters = [p for p in peer.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1]},
                {
                    "params": [p for p in parameters if p.ndim == 1],
                    "weight_decay": 0.0,
                },
            ],
            1e-3,
            (0.9, 0.95),
            weight_decay=0.05,
        )
        for step in (1, 2, 3):
            for group in optimizer.param_groups:
                group["eps"] = epsilon(step)
            optimizer.zero_grad()
            run_peer(peer, images, noise)[1].loss.backward()
            optimizer.step()
        own = keras.optimizers.AdamW(1e-3, 0.05, beta_2=0.95, epsilon=1e-8)
        own.exclude_from_weight_decay(
            [w for w in ours.trainable_weights if len(w.shape) < 2]
        )
        ours.compile(own)
        inputs = {"images": images, "masked": masked}
        ours.fit(inputs, epochs=3, batch_size=3, shuffle=False, verbose=0)
        theirs = peer_arrays(peer.named_parameters())
        for name, entry in HF.entries(ours).items():
            if name.endswith("key.bias"):
                # Adam makes steps of full size from the rounding that is its
                # gradient. Nothing depends on it.
                continue
            value = entry.to_checkpoint(self.to_numpy(entry.variable))
            check(f"MAE, {item}: weights", value, theirs[name], tolerance, PEER)
        check(
            f"MAE, {item}: prediction",
            ours.predict_patches(images, masked),
            run_peer(peer, images, noise)[1].logits.detach().numpy(),
            tolerance,
            PEER,
        )
