import keras

from keras_mim import MAE
from keras_mim import SimMIM
from keras_mim.layers import MAEHead
from keras_mim.layers import SimMIMHead
from keras_mim.masking import RandomMasking
from keras_mim.targets import PixelTarget
from tests import tiny
from tests.test_case import TestCase


class OwnershipTest(TestCase):
    def test_an_encoder_can_be_shared_and_nothing_else(self):
        parts = {
            "masking": RandomMasking(0.5),
            "head": SimMIMHead(),
            "target": PixelTarget(),
        }
        encoder = tiny.vit()
        SimMIM(encoder, **parts)
        for name, part in parts.items():
            others = {"masking": RandomMasking(0.5), name: part}
            for other in (encoder, tiny.vit((16, 16, 3))):
                with self.assertRaisesRegex(
                    ValueError, f"`{name}` is another model's already"
                ):
                    SimMIM(other, **others)
        self.assertIs(SimMIM(encoder, RandomMasking(0.5)).encoder, encoder)

    def test_a_part_that_was_tried_alone_is_free(self):
        masking = RandomMasking(0.5, patch_size=4)
        masking(tiny.images())
        self.assertIs(SimMIM(tiny.vit(), masking).masking, masking)

    def test_parts_of_another_kind(self):
        plain = keras.Sequential([keras.Input((8, 12, 3))])
        for method in (MAE, SimMIM):
            for name, part in (
                ("encoder", plain),
                ("encoder", "vit"),
                ("masking", "random"),
                ("masking", 0.75),
                ("head", MAEHead),
                ("target", keras.layers.Identity()),
            ):
                with self.assertRaisesRegex(
                    ValueError, f"`{name}` must be a `keras_mim.*Received"
                ):
                    method(**{"encoder": tiny.vit(), name: part})
