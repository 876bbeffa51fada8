import numpy as np
import pytest

from keras_mim.layers import OneSigmaNormal
from tests.test_case import TestCase

torch = pytest.importorskip("torch")


class OneSigmaNormalTest(TestCase):
    def test_is_torchs_trunc_normal_as_beit_calls_it(self):
        shape, count = (1000, 1000), 1e6
        theirs = torch.empty(shape, dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        torch.nn.init.trunc_normal_(
            theirs, std=0.02, a=-0.02, b=0.02, generator=generator
        )
        theirs = np.sort(theirs.numpy().ravel())
        ours = np.sort(self.to_numpy(OneSigmaNormal(0.02)(shape)).ravel())
        # Relative standard error of a deviation: sqrt(0.2352 / count); five of
        # them, and of both.
        self.assertAllClose(
            ours.std(), theirs.std(), 5 * (2 * 0.2352 / count) ** 0.5, 0
        )
        # All quantiles: a share p of values is off by sqrt(p (1 - p) / count),
        # where the density is at least 0.71 / 0.04.
        self.assertAllClose(
            ours, theirs, 0, 5 * (2 * 0.25 / count) ** 0.5 * 0.04 / 0.71
        )
        # It scales: BEiT divides afterwards.
        scaled = np.sort(self.to_numpy(OneSigmaNormal(0.01)(shape)).ravel())
        self.assertAllClose(
            scaled, theirs / 2, 0, 5 * (2 * 0.25 / count) ** 0.5 * 0.02 / 0.71
        )
