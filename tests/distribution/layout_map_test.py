import math

import keras
import pytest

from keras_mim import MAE
from keras_mim import SimMIM
from keras_mim.distribution import layout_map
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2
from keras_mim.encoders import ViT
from keras_mim.layers import InverseSwinHead
from keras_mim.layers import MAEHead
from keras_mim.layers import MLPHead
from keras_mim.masking import RandomMasking
from tests.test_case import TestCase


def layouts(shape=(2, 4), names=("batch", "model"), model_dim="model"):
    devices = [f"cpu:{i}" for i in range(8)]
    mesh = keras.distribution.DeviceMesh(shape, names, devices)
    return layout_map(mesh, model_dim)


class LayoutMapTest(TestCase):
    def replicated(self, model, count=8):
        """Checks the layouts; returns the share of weights without one."""
        found = layouts()
        rest = 0
        for weight in model.weights:
            layout = found[weight.path]
            if layout is None:
                rest += math.prod(weight.shape)
                # SwinV2 has kernels that make the biases of positions.
                self.assertTrue(
                    not weight.path.endswith("kernel")
                    or "/position_" in weight.path,
                    weight.path,
                )
            else:
                self.assertEqual(sorted(map(str, layout.axes))[0], "None")
                size = weight.shape[layout.axes.index("model")]
                self.assertEqual(size % count, 0, weight.path)
        return rest / model.count_params()

    def test_kernels_of_every_part_are_split(self):
        shape = (64, 64, 3)
        swin = Swin(shape, 4, 32, [1, 1], [2, 4], 4)
        for model in (
            # Patches of 14 pixels have 588 values: no multiple of 8.
            MAE(ViT((56, 56, 3), 14, 32, 1, 2, 64), head=MAEHead(32, 1, 2)),
            SimMIM(
                ViT(
                    shape,
                    16,
                    32,
                    1,
                    2,
                    64,
                    positions="shared_relative",
                    layer_scale=0.1,
                    use_key_bias=False,
                ),
                RandomMasking(0.5, 16),
                MLPHead(),
            ),
            SimMIM(
                SwinV2(shape, 4, 32, [1, 1], [2, 4], 4), RandomMasking(0.5, 16)
            ),
            SimMIM(
                swin,
                RandomMasking(0.5, 16),
                InverseSwinHead(32, [1, 1], [2, 4], 4),
            ),
        ):
            self.replicated(model)

    @pytest.mark.jax_only  # Slow, and the same on every backend.
    @pytest.mark.tensorflow_only  # JAX takes long to draw so many weights.
    def test_what_large_models_have_on_every_device(self):
        # As the docstring says.
        vit = ViT.from_size("base", (224, 224, 3), 16)
        self.assertLess(self.replicated(MAE(vit)), 0.004)
        swin = Swin.from_size("base", (192, 192, 3), window_size=6)
        self.assertLess(self.replicated(SimMIM(swin)), 0.003)

    def test_one_axis_for_batch_and_kernels(self):
        found = layouts((8,), ("batch",), "batch")
        path = "block_0/attention/query_key_value/kernel"
        self.assertEqual(found[path].axes, (None, "batch"))
        self.assertEqual(found["x/block_0/mlp_out/kernel"].axes[0], "batch")
        self.assertIsNone(found["block_0/mlp_out/bias"])

    def test_unknown_axis(self):
        with self.assertRaisesRegex(ValueError, "Received: model_dim='heads'"):
            layouts(model_dim="heads")
