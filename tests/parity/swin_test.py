"""The Swin encoder against transformers' and timm's: same weights."""

import keras
import numpy as np
import pytest

from keras_mim import encoders
from tests.parity.peers import randomise
from tests.parity.record import check
from tests.parity.swin_comparison import SwinComparison
from tests.parity.swin_comparison import fill
from tests.parity.swin_comparison import hf_arrays
from tests.parity.swin_comparison import hf_entries
from tests.parity.swin_comparison import hf_tokens
from tests.parity.swin_comparison import timm_entries
from tests.parity.swin_comparison import timm_tokens

torch = pytest.importorskip("torch")

SMALL = {"depths": (2, 2), "num_heads": (2, 4)}


def make_hf(image_shape, window_size, depths, num_heads):
    transformers = pytest.importorskip("transformers")
    return randomise(
        transformers.SwinModel(
            transformers.SwinConfig(
                image_size=image_shape[:2],
                num_channels=image_shape[2],
                embed_dim=16,
                depths=depths,
                num_heads=num_heads,
                window_size=window_size,
                layer_norm_eps=1e-5,
            ),
            add_pooling_layer=False,
        )
    ).eval()


def make_timm(image_shape, window_size, depths, num_heads):
    # torchvision, which timm imports, may be there and not import.
    pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
    from timm.models.swin_transformer import SwinTransformer

    return randomise(
        SwinTransformer(
            img_size=image_shape[:2],
            in_chans=image_shape[2],
            num_classes=0,
            embed_dim=16,
            depths=depths,
            num_heads=num_heads,
            window_size=window_size,
        )
    ).eval()


class SwinTest(SwinComparison):
    row = "Swin"
    peers = {
        hf_tokens: "transformers SwinModel",
        timm_tokens: "timm SwinTransformer",
    }

    def test_transformers(self):
        for image_shape, window_size, config in (
            # Square. The last stage's map is one window: no shift there.
            ((32, 32, 3), 4, SMALL),
            # Windows and merging pad: 11 x 9 tokens, 6 x 5, and 3 x 3 with
            # the window as large as the map again.
            (
                (44, 36, 5),
                3,
                {"depths": (3, 1, 2), "num_heads": (1, 2, 4)},
            ),
        ):
            with self.subTest(image_shape=image_shape):
                peer = make_hf(image_shape, window_size, **config)
                from safetensors.numpy import load_file

                folder = self.temp_dir()
                peer.save_pretrained(folder)
                encoder = encoders.Swin(
                    image_shape,
                    hidden_dim=16,
                    window_size=window_size,
                    **config,
                )
                arrays = hf_arrays(
                    encoder, load_file(folder / "model.safetensors")
                )
                self.compare(peer, hf_tokens, hf_entries, arrays, encoder)
                # Version 5 has other names in memory than in files.
                in_memory = hf_arrays(encoder, peer.state_dict())
                self.assertEqual(set(in_memory), set(arrays))

    def test_timm(self):
        for image_shape, window_size in (
            # The window is larger than the last stage's map of 4 x 4, so
            # its tables are smaller too.
            ((32, 32, 3), 8),
            # Not square; timm rolls before it pads, we and transformers
            # after, so windows divide all maps.
            ((32, 64, 1), 2),
        ):
            with self.subTest(image_shape=image_shape):
                peer = make_timm(image_shape, window_size, **SMALL)
                arrays = {k: v.numpy() for k, v in peer.state_dict().items()}
                encoder = encoders.Swin(
                    image_shape,
                    hidden_dim=16,
                    window_size=window_size,
                    **SMALL,
                )
                self.compare(peer, timm_tokens, timm_entries, arrays, encoder)

    def test_feature_maps(self):
        peer = make_hf((28, 40, 3), 3, **SMALL)
        config = {**SMALL, "window_size": 3, "hidden_dim": 16}
        encoder = encoders.Swin((28, 40, 3), **config)
        arrays = {k: v.numpy() for k, v in peer.state_dict().items()}
        fill(hf_entries(encoder), hf_arrays(encoder, arrays))
        images = np.random.rand(2, 28, 40, 3).astype("float32")
        with torch.no_grad():
            expected = peer(
                torch.tensor(images.transpose(0, 3, 1, 2)),
                output_hidden_states=True,
                output_hidden_states_before_downsampling=True,
            ).reshaped_hidden_states[1:]
        maps = encoder.feature_maps(encoder.input, layers=(0, 1))
        model = keras.Model(encoder.input, maps)
        found = model.predict(images, verbose=0)
        for ours, theirs in zip(found, expected, strict=True):
            theirs = theirs.numpy().transpose(0, 2, 3, 1)
            check(
                "Swin feature maps", ours, theirs, 1e-5, self.peers[hf_tokens]
            )
