import keras
import numpy as np

from keras_mim import Normalization
from keras_mim.targets import ColorBinTarget
from keras_mim.targets import ColorClusterTarget
from keras_mim.targets import FeatureTarget
from keras_mim.targets import HOGTarget
from keras_mim.targets import PCATarget
from keras_mim.targets import PixelTarget
from keras_mim.targets import TokenTarget
from tests import tiny
from tests.own.luminance_target import LuminanceTarget
from tests.test_case import TestCase

OTHER = Normalization((0.1, 0.4, 0.6), (0.2, 0.3, 0.5))
BYTES = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), "uint8")


def hand_normalized(normalization):
    pixels = BYTES / np.float32(255)
    mean = np.array(normalization.mean, "float32")
    return (pixels - mean) / np.array(normalization.std, "float32")


def make_targets():
    """Yields targets, to be used by themselves."""
    tokenizer = keras.Sequential(
        [keras.Input((8, 12, 3)), keras.layers.AveragePooling2D(4)]
    )
    yield PixelTarget(patch_size=4)
    yield PixelTarget(normalize=True, patch_size=4)
    yield HOGTarget(cell_size=4, gaussian_window=0, patch_size=4)
    yield ColorBinTarget(8, patch_size=4)
    yield ColorClusterTarget(tiny.normal(5, 3), patch_size=4)
    yield PCATarget(tiny.normal(2, 48), tiny.normal(48), patch_size=4)
    yield TokenTarget(tokenizer, patch_size=4)
    yield LuminanceTarget(patch_size=4)


class TargetTest(TestCase):
    def test_bytes_are_normalized_once(self):
        default = Normalization.for_channels(3)
        for target in make_targets():
            images = hand_normalized(default)
            self.assertAllClose(target(BYTES), target(images), 1e-4, 1e-4)
        for target in make_targets():
            # As a model sets it, to its encoder's.
            target.normalization = OTHER
            images = hand_normalized(OTHER)
            self.assertAllClose(target(BYTES), target(images), 1e-4, 1e-4)

    def test_bytes_go_to_a_teacher_as_it_was_trained(self):
        target = FeatureTarget(tiny.vit(normalization=OTHER), patch_size=4)
        images = hand_normalized(OTHER)
        self.assertAllClose(target(BYTES), target(images), 1e-4, 1e-4)

    def test_other_integers_are_refused(self):
        for dtype in ("int32", "bool"):
            for target in make_targets():
                with self.assertRaisesRegex(ValueError, f"of dtype {dtype}"):
                    target(BYTES.astype(dtype))
