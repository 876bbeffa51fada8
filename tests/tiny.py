"""Tiny models and images by name, where a test does not turn on their sizes."""

import io

import numpy as np
import pytest

from keras_mim import MAE
from keras_mim import Normalization
from keras_mim import SimMIM
from keras_mim.data import read_pack
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2
from keras_mim.encoders import ViT
from keras_mim.layers import MAEHead
from keras_mim.masking import RandomMasking
from tests.test_case import ROOT

IMAGE_SHAPE = (8, 12, 3)


def normal(*shape, seed=0):
    """Returns normally distributed values, float32."""
    values = np.random.default_rng(seed).normal(size=shape)
    return values.astype("float32")


def images(num_images=2, image_shape=IMAGE_SHAPE, seed=0):
    """Returns images of noise, float32 `(num_images, *image_shape)`."""
    return normal(num_images, *image_shape, seed=seed)


def clothing(num_images, split="train"):
    """Returns bundled photos, normalized, float32 `(num_images, 64, 64, 3)`."""
    image = pytest.importorskip("PIL.Image")
    files, _, _ = read_pack(ROOT / "examples/data/clothing64.npz", split)
    pixels = np.stack(
        [
            np.array(image.open(io.BytesIO(file)).convert("RGB"))
            for file in files[:num_images]
        ]
    )
    return Normalization.for_channels(3).normalize(pixels)


def vit(image_shape=IMAGE_SHAPE, patch_size=4, **changes):
    """Returns a ViT of one block with six patches and a class token."""
    sizes = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "mlp_dim": 16}
    return ViT(image_shape, patch_size, **{**sizes, **changes})


def swin(image_shape=IMAGE_SHAPE, **changes):
    """Returns a Swin of two stages, 24 patches and six tokens."""
    return Swin(image_shape, **{**_STAGES, **changes})


def swin_v2(image_shape=IMAGE_SHAPE, **changes):
    """Returns a Swin V2 of two stages, 24 patches and six tokens."""
    return SwinV2(image_shape, **{**_STAGES, **changes})


def mae(encoder=None, **changes):
    """Returns MAE with a decoder of one block; of `vit()` by default."""
    parts = {"masking": RandomMasking(0.6, seed=0), "head": MAEHead(16, 1, 2)}
    return MAE(encoder or vit(), **{**parts, **changes})


def simmim(encoder=None, **changes):
    """Returns SimMIM with half of the patches hidden; of `vit()` by default."""
    parts = {"masking": RandomMasking(0.5, seed=0)}
    return SimMIM(encoder or vit(), **{**parts, **changes})


_STAGES = {
    "patch_size": 2,
    "hidden_dim": 8,
    "depths": (1, 1),
    "num_heads": (1, 2),
    "window_size": 2,
}
