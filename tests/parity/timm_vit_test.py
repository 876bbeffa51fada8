"""The encoder against timm's ViT: same weights, both ways."""

import numpy as np
import pytest

import keras_mim
from keras_mim import converters
from tests import tiny
from tests.parity.peers import randomise
from tests.parity.record import check
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
# torchvision, which timm imports, may be there and not import.
pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))

PEER = "timm VisionTransformer"


def make_peer(image_shape=(16, 16, 3), **kwargs):
    """Returns timm's model with random weights everywhere."""
    import timm

    peer = timm.models.vision_transformer.VisionTransformer(
        img_size=image_shape[:2],
        patch_size=4,
        in_chans=image_shape[2],
        embed_dim=32,
        depth=3,
        num_heads=4,
        num_classes=5,
        **kwargs,
    ).eval()
    return randomise(peer)


def tokens(peer, images):
    with torch.no_grad():
        pixels = torch.tensor(images.transpose(0, 3, 1, 2))
        return peer.forward_features(pixels).numpy()


class TimmTest(TestCase):
    def test_tokens_both_ways(self):
        for image_shape, theirs, ours in (
            ((16, 16, 3), {}, {}),
            ((16, 24, 3), {"init_values": 0.1}, {"layer_scale": 0.1}),
            (
                (24, 16, 1),
                {"class_token": False, "global_pool": "", "fc_norm": False},
                {"use_class_token": False},
            ),
            ((16, 16, 13), {"drop_path_rate": 0.2}, {"drop_path_rate": 0.2}),
        ):
            with self.subTest(image_shape=image_shape):
                peer = make_peer(image_shape, **theirs)
                encoder = keras_mim.encoders.ViT(
                    image_shape, 4, 32, 3, 4, 128, positions="learned", **ours
                )
                path = self.temp_dir() / "vit.pth"
                torch.save(peer.state_dict(), path)
                report = converters.load_timm_vit(encoder, path)
                self.assertEqual(
                    set(report.unused), {"head.weight", "head.bias"}
                )
                images = tiny.images(2, image_shape, seed=1)
                expected = tokens(peer, images)
                found = self.to_numpy(encoder(images))
                check("encoder tokens", found, expected, 1e-5, PEER)

                again = make_peer(image_shape, **theirs)
                torch.nn.init.zeros_(again.patch_embed.proj.weight)
                state = converters.to_torch_state_dict(encoder, "timm")
                result = again.load_state_dict(state, strict=False)
                self.assertEqual(result.unexpected_keys, [])
                self.assertEqual(
                    set(result.missing_keys), {"head.weight", "head.bias"}
                )
                check("out to timm", tokens(again, images), found, 1e-5, PEER)

    def test_building_from_a_file(self):
        peer = make_peer((16, 24, 3), init_values=0.1)
        encoder = converters.from_checkpoint(
            peer.state_dict(), num_heads=4, grid=(4, 6)
        )
        images = np.random.rand(2, 16, 24, 3).astype("float32")
        expected = tokens(peer, images)
        found = self.to_numpy(encoder(images))
        check("encoder tokens", found, expected, 1e-5, PEER)

    def test_mean_pooled_classifier_has_no_final_norm(self):
        peer = make_peer(global_pool="avg")
        encoder = keras_mim.encoders.ViT(
            (16, 16, 3), 4, 32, 3, 4, 128, positions="learned"
        )
        with self.assertRaisesRegex(ValueError, "lacks 2 .*norm.weight"):
            converters.load_timm_vit(encoder, peer.state_dict())
        report = converters.load_timm_vit(
            encoder, peer.state_dict(), allow_missing=("norm",)
        )
        self.assertIn("fc_norm.weight", report.unused)

    def test_other_channels_as_timm_does_it(self):
        from timm.models import adapt_input_conv

        kernel = torch.rand(32, 3, 4, 4)
        for channels in (1, 2, 4, 13):
            peer = make_peer()
            with torch.no_grad():
                peer.patch_embed.proj.weight.copy_(kernel)
            encoder = converters.from_checkpoint(
                peer.state_dict(), (16, 16, channels), num_heads=4
            )
            state = converters.to_torch_state_dict(encoder, "timm")
            check(
                "patch kernel, other channels",
                state["patch_embed.proj.weight"].numpy(),
                adapt_input_conv(channels, kernel).numpy(),
                1e-6,
                PEER,
            )

    def test_other_grids_as_timm_does_it(self):
        from timm.layers import resample_abs_pos_embed

        peer = make_peer((28, 28, 3))
        for grid in ((4, 4), (9, 14), (16, 5)):
            shape = (4 * grid[0], 4 * grid[1], 3)
            encoder = converters.from_checkpoint(
                peer.state_dict(), shape, num_heads=4
            )
            with torch.no_grad():
                # timm's default antialiases; MAE's published rule does not.
                expected = resample_abs_pos_embed(
                    peer.pos_embed, list(grid), antialias=False
                )
            check(
                "learned positions, other grids",
                self.to_numpy(encoder.position_embedding.layers[-1].table),
                expected.numpy(),
                1e-5,
                PEER,
            )
