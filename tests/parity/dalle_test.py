"""DALL-E's image tokenizer against the same network in torch."""

import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.converters.load_dalle import load_dalle
from keras_mim.targets import DalleEncoder
from keras_mim.targets import TokenTarget
from tests.parity.record import check
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
nn = torch.nn

HALVES = Normalization((0.5,) * 3, (0.25,) * 3)
PEER = "torch, written after the paper's code"


class Convolution(nn.Module):
    """A convolution whose weights go by DALL-E's names."""

    def __init__(self, into, out, side, rng):
        super().__init__()
        # Twice what keeps the variance: else the blocks, each scaled down by
        # their number squared, would not show beside what passes them by.
        scale = 2 / np.sqrt(into * side**2)
        weight = rng.normal(0, scale, (out, into, side, side))
        self.w = nn.Parameter(torch.tensor(weight, dtype=torch.float32))
        bias = rng.normal(0, 0.2, out)
        self.b = nn.Parameter(torch.tensor(bias, dtype=torch.float32))

    def forward(self, x):
        return nn.functional.conv2d(x, self.w, self.b, padding="same")


class Block(nn.Module):
    def __init__(self, into, out, gain, rng):
        super().__init__()
        self.gain = gain
        self.id_path = nn.Identity()
        if into != out:
            self.id_path = Convolution(into, out, 1, rng)
        self.res_path = nn.Sequential()
        widths = [into, out // 4, out // 4, out // 4, out]
        for i, side in enumerate((3, 3, 3, 1)):
            self.res_path.add_module(f"relu_{i + 1}", nn.ReLU())
            convolution = Convolution(widths[i], widths[i + 1], side, rng)
            self.res_path.add_module(f"conv_{i + 1}", convolution)

    def forward(self, x):
        return self.id_path(x) + self.gain * self.res_path(x)


class Peer(nn.Module):
    def __init__(self, width, blocks, tokens, channels, gain=None):
        super().__init__()
        rng = np.random.default_rng(0)
        gain = 1 / (4 * blocks) ** 2 if gain is None else gain
        self.blocks = nn.Sequential()
        self.blocks.add_module("input", Convolution(channels, width, 7, rng))
        into = width
        for i in range(4):
            group, out = nn.Sequential(), width * 2**i
            for j in range(blocks):
                group.add_module(f"block_{j + 1}", Block(into, out, gain, rng))
                into = out
            if i < 3:
                group.add_module("pool", nn.MaxPool2d(2))
            self.blocks.add_module(f"group_{i + 1}", group)
        output = nn.Sequential()
        output.add_module("relu", nn.ReLU())
        output.add_module("conv", Convolution(into, tokens, 1, rng))
        self.blocks.add_module("output", output)

    def logits(self, pixels):
        with torch.no_grad():
            x = torch.tensor(pixels.transpose(0, 3, 1, 2))
            return self.blocks(0.8 * x + 0.1).permute(0, 2, 3, 1).numpy()


class DalleTest(TestCase):
    def test_logits(self):
        for width, blocks, tokens, channels, size in (
            (16, 2, 40, 3, (32, 32)),
            (8, 1, 24, 1, (16, 40)),
            (8, 3, 24, 3, (24, 8)),
        ):
            with self.subTest(width=width, blocks=blocks):
                peer = Peer(width, blocks, tokens, channels)
                encoder = DalleEncoder(
                    width, blocks, tokens, (None, None, channels)
                )
                path = self.temp_dir() / "encoder.pth"
                torch.save(peer.state_dict(), path)
                report = load_dalle(encoder, path)
                self.assertEqual(set(report.loaded), set(peer.state_dict()))
                rng = np.random.default_rng(1)
                pixels = rng.random((2, *size, channels)).astype("float32")
                expected = peer.logits(pixels)
                found = self.to_numpy(encoder(pixels))
                check("dVAE logits", found, expected, 1e-5, PEER)
                # The blocks do show.
                without = Peer(width, blocks, tokens, channels, gain=0)
                change = np.abs(without.logits(pixels) - expected).max()
                self.assertGreater(change, 0.01 * np.abs(expected).max())

    def test_ids_of_normalised_images(self):
        peer = Peer(16, 2, 40, 3)
        encoder = DalleEncoder(16, 2, 40)
        load_dalle(encoder, peer.state_dict())
        pixels = np.random.default_rng(1).random((2, 32, 48, 3), "float32")
        target = TokenTarget(encoder, HALVES, patch_size=8)
        found = self.to_numpy(target((pixels - 0.5) / 0.25))
        expected = peer.logits(pixels).argmax(-1).reshape(2, 24, 1)
        self.assertGreater(len(np.unique(expected)), 2)
        self.assertAllEqual(found, expected)
