"""Real images for tests: the bundled photos of clothes."""

import io

import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.data import read_pack
from tests.test_case import ROOT


def clothing(num_images, split="train"):
    """Returns normalised images, float32 `(num_images, 64, 64, 3)`."""
    image = pytest.importorskip("PIL.Image")
    files, _, _ = read_pack(ROOT / "examples/data/clothing64.npz", split)
    pixels = np.stack(
        [
            np.array(image.open(io.BytesIO(file)).convert("RGB"))
            for file in files[:num_images]
        ]
    )
    return Normalization.for_channels(3).normalize(pixels)
