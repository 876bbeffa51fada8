"""The SwinV2 encoder against transformers' and timm's: same weights.

Where the two differ from Microsoft's code and from us, the cases stay away:

- transformers shrinks windows to a map whose sides it halves rounding down,
  where merging rounds up (and its `SwinModel` looks at the map itself), and to
  the height alone. A third map of 3 x 3, out of 11 x 9, gets windows of 2.
- transformers adds the shift's mask twice: -200 for -100. With logits of a
  size seen in practice, both are zero after the softmax.
- timm rolls a map before it pads it, and has windows that are not square.
"""

import pytest

from keras_mim import encoders
from tests.parity.peers import randomise
from tests.parity.swin_comparison import SwinComparison
from tests.parity.swin_comparison import hf_arrays
from tests.parity.swin_comparison import hf_entries
from tests.parity.swin_comparison import hf_tokens
from tests.parity.swin_comparison import timm_entries
from tests.parity.swin_comparison import timm_tokens

torch = pytest.importorskip("torch")


def make_hf(image_shape, pretrained_window_sizes=None, **config):
    transformers = pytest.importorskip("transformers")
    zeros = (0,) * len(config["depths"])
    return randomise(
        transformers.Swinv2Model(
            transformers.Swinv2Config(
                image_size=image_shape[:2],
                num_channels=image_shape[2],
                embed_dim=16,
                pretrained_window_sizes=pretrained_window_sizes or zeros,
                layer_norm_eps=1e-5,
                **config,
            ),
            add_pooling_layer=False,
        )
    ).eval()


def make_timm(image_shape, pretrained_window_sizes=None, **config):
    # torchvision, which timm imports, may be there and not import.
    pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    zeros = (0,) * len(config["depths"])
    return randomise(
        SwinTransformerV2(
            img_size=image_shape[:2],
            in_chans=image_shape[2],
            num_classes=0,
            embed_dim=16,
            pretrained_window_sizes=pretrained_window_sizes or zeros,
            **config,
        )
    ).eval()


class SwinV2Test(SwinComparison):
    row = "Swin v2"
    peers = {
        hf_tokens: "transformers Swinv2Model",
        timm_tokens: "timm SwinTransformerV2",
    }

    def test_transformers(self):
        # Windows and merging pad: 11 x 9 tokens, and 6 x 5. Offsets by other
        # windows. Square maps: see SimMIM's test.
        image_shape = (44, 36, 5)
        config = {
            "depths": (2, 2),
            "num_heads": (1, 2),
            "window_size": 3,
            "pretrained_window_sizes": (5, 2),
        }
        peer = make_hf(image_shape, **config)
        arrays = {k: v.numpy() for k, v in peer.state_dict().items()}
        encoder = encoders.SwinV2(image_shape, hidden_dim=16, **config)
        arrays = hf_arrays(encoder, arrays)
        self.compare(peer, hf_tokens, hf_entries, arrays, encoder)

    def test_timm(self):
        # The last stage's map of 4 x 4 is one window.
        image_shape = (32, 32, 3)
        config = {"depths": (2, 1), "num_heads": (2, 4), "window_size": 4}
        peer = make_timm(image_shape, **config)
        self.compare(
            peer,
            timm_tokens,
            timm_entries,
            {k: v.numpy() for k, v in peer.state_dict().items()},
            encoders.SwinV2(image_shape, hidden_dim=16, **config),
        )
