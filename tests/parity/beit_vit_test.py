"""BEiT's and SimMIM's ViT against timm's BEiT, and SimMIM's model on it."""

import pytest

import keras_mim
from keras_mim import converters
from keras_mim.converters.layouts import layout_of
from tests import tiny
from tests.parity.gradients import gradients
from tests.parity.peers import randomise
from tests.parity.record import check
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
# torchvision, which timm imports, may be there and not import.
pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))

PEER = "timm Beit"


def make_peer(image_shape=(32, 32, 3), shared=True, patch_size=8):
    """Returns timm's model with random weights everywhere."""
    from timm.models.beit import Beit

    peer = Beit(
        img_size=image_shape[:2],
        patch_size=patch_size,
        in_chans=image_shape[2],
        embed_dim=32,
        depth=2,
        num_heads=4,
        num_classes=5,
        global_pool="token",
        init_values=0.1,
        use_abs_pos_emb=False,
        use_rel_pos_bias=not shared,
        use_shared_rel_pos_bias=shared,
    ).eval()
    return randomise(peer)


class SimMIMModel(torch.nn.Module):
    """SimMIM's `SimMIM` on a ViT, put together from timm's parts."""

    def __init__(self, encoder, patch_size, channels):
        super().__init__()
        self.encoder = encoder
        self.encoder.mask_token = torch.nn.Parameter(torch.zeros(1, 1, 32))
        self.decoder = torch.nn.Sequential(
            torch.nn.Conv2d(32, patch_size**2 * channels, 1),
            torch.nn.PixelShuffle(patch_size),
        )
        randomise(self)

    def forward(self, pixels, masked):
        encoder = self.encoder
        x = encoder.patch_embed(pixels)
        weight = masked[:, :, None].float()
        x = x * (1 - weight) + encoder.mask_token * weight
        x = torch.cat([encoder.cls_token.expand(len(x), -1, -1), x], dim=1)
        bias = encoder.rel_pos_bias() if encoder.rel_pos_bias else None
        for block in encoder.blocks:
            x = block(x, shared_rel_pos_bias=bias)
        x = encoder.norm(x)[:, 1:]
        grid = encoder.patch_embed.grid_size
        x = x.transpose(1, 2).reshape(len(x), -1, *grid)
        reconstruction = self.decoder(x)
        side = pixels.shape[2] // grid[0]
        hidden = weight[..., 0].reshape(-1, *grid)
        hidden = hidden.repeat_interleave(side, 1).repeat_interleave(side, 2)
        hidden = hidden[:, None]
        loss = ((pixels - reconstruction).abs() * hidden).sum()
        return reconstruction, loss / (hidden.sum() + 1e-5) / pixels.shape[1]


class BeitTest(TestCase):
    def tokens(self, peer, images):
        with torch.no_grad():
            pixels = torch.tensor(images.transpose(0, 3, 1, 2))
            return peer.forward_features(pixels).numpy()

    def images(self, image_shape, batch_size=2):
        return tiny.images(batch_size, image_shape, seed=1)

    def test_tokens_both_ways(self):
        for image_shape, shared in (
            ((32, 32, 3), True),
            ((32, 32, 1), False),
            ((24, 40, 3), True),
            ((40, 16, 3), False),
        ):
            with self.subTest(image_shape=image_shape, shared=shared):
                peer = make_peer(image_shape, shared)
                path = self.temp_dir() / "beit.pth"
                torch.save({"model": peer.state_dict()}, path)
                grid = image_shape[0] // 8, image_shape[1] // 8
                encoder = converters.from_checkpoint(path, grid=grid)
                kind = "shared_relative" if shared else "relative"
                self.assertEqual(encoder.positions, kind)
                self.assertFalse(encoder.use_key_bias)
                images = self.images(image_shape)
                expected = self.tokens(peer, images)
                found = self.to_numpy(encoder(images))
                check("BEiT ViT tokens", found, expected, 1e-5, PEER)

                state = converters.to_torch_state_dict(encoder, "beit")
                again = make_peer(image_shape, shared)
                torch.nn.init.zeros_(again.patch_embed.proj.weight)
                result = again.load_state_dict(state, strict=False)
                self.assertEqual(result.unexpected_keys, [])
                self.assertEqual(
                    {k for k in result.missing_keys if "k_bias" not in k},
                    {"head.weight", "head.bias"}
                    | {
                        k
                        for k in peer.state_dict()
                        if k.endswith("relative_position_index")
                    },
                )
                check(
                    "BEiT ViT out to timm",
                    self.tokens(again, images),
                    found,
                    1e-5,
                    PEER,
                )

    def test_shared_table_into_one_per_block(self):
        peer = make_peer()
        encoder = keras_mim.encoders.ViT(
            (32, 32, 3),
            8,
            32,
            2,
            4,
            128,
            positions="relative",
            layer_scale=0.1,
            use_key_bias=False,
        )
        converters.load_beit(encoder, peer.state_dict())
        images = self.images((32, 32, 3))
        check(
            "BEiT ViT tokens, shared table copied",
            self.to_numpy(encoder(images)),
            self.tokens(peer, images),
            1e-5,
            PEER,
        )

    def test_another_grid(self):
        pytest.importorskip("scipy")
        peer = make_peer()
        state = peer.state_dict()
        encoder = converters.from_checkpoint(state, (48, 56, 3))
        table = state["rel_pos_bias.relative_position_bias_table"].numpy()
        found = self.to_numpy(encoder.position_biases[0].table)
        self.assertAllEqual(found[-3:], table[-3:])
        expected = keras_mim.ops.resize_relative_positions(
            table[:-3], (4, 4), (6, 7)
        )
        self.assertAllEqual(found[:-3], expected)

    def test_simmim(self):
        for image_shape, shared in (((64, 64, 3), True), ((64, 96, 1), False)):
            encoder = make_peer(image_shape, shared)
            encoder.head = torch.nn.Identity()
            peer = SimMIMModel(encoder, 8, image_shape[2])
            path = self.temp_dir() / "simmim_pretrain__vit_base.pth"
            torch.save({"model": peer.state_dict(), "epoch": 3}, path)
            grid = image_shape[0] // 8, image_shape[1] // 8
            ours = converters.from_checkpoint(path, grid=grid)
            self.assertIsInstance(ours, keras_mim.SimMIM)
            images = self.images(image_shape, 3)
            masked = self.to_numpy(ours.masking(images))
            reconstruction, loss = peer(
                torch.tensor(images.transpose(0, 3, 1, 2)),
                torch.tensor(masked),
            )
            prediction = ours.predict_patches(images, masked)
            found = keras_mim.ops.unpatchify(prediction, grid, 8)
            peer_name = "SimMIM's definition on timm's Beit"
            check(
                "SimMIM ViT prediction",
                self.to_numpy(found),
                reconstruction.detach().numpy().transpose(0, 2, 3, 1),
                1e-5,
                peer_name,
            )
            ours.compile("sgd")
            inputs = {"images": images, "masked": masked}
            our_loss, found = gradients(ours, inputs)
            check("SimMIM ViT loss", our_loss, loss.item(), 1e-5, peer_name)
            loss.backward()
            theirs = {
                k: p.grad.numpy()
                for k, p in peer.named_parameters()
                if p.grad is not None
            }
            names = layout_of(ours, "simmim").entries(ours)
            self.assertEqual(set(names), set(theirs))
            for name, entry in names.items():
                check(
                    "SimMIM ViT gradients",
                    entry.to_checkpoint(found[entry.variable.path]),
                    theirs[name],
                    1e-4,
                    peer_name,
                )
            state = converters.to_torch_state_dict(ours, "simmim")
            result = peer.load_state_dict(state, strict=False)
            self.assertEqual(result.unexpected_keys, [])

    def test_mae_cannot_drop_their_tokens(self):
        encoder = converters.from_checkpoint(make_peer().state_dict())
        with self.assertRaisesRegex(ValueError, "any subset of its tokens"):
            keras_mim.MAE(encoder)
