import pytest

import keras_mim
from keras_mim import converters
from tests import tiny
from tests.converters import published
from tests.reference import randomise
from tests.test_case import TestCase

torch = pytest.importorskip("torch")


class ToTorchTest(TestCase):
    @pytest.mark.torch_only  # Likewise elsewhere; JAX takes long.
    def test_names_and_shapes_of_base(self):
        encoder = keras_mim.encoders.ViT.from_size("base", (224, 224, 3), 16)
        mae = keras_mim.MAE(encoder)
        state = converters.to_torch_state_dict(mae)
        shapes = published.encoder_shapes(768, 12, 16)
        shapes |= published.decoder_shapes(768, 16)
        self.assertEqual({k: tuple(v.shape) for k, v in state.items()}, shapes)
        self.assertTrue(all(v.dtype == torch.float32 for v in state.values()))

    def test_round_trips_are_exact(self):
        head = keras_mim.layers.MAEHead(16, 1, 2)
        encoder = keras_mim.encoders.ViT((12, 20, 2), 4, 32, 2, 4, 64)
        mae = keras_mim.MAE(encoder, head=head)
        randomise(mae)
        for layout in ("mae", "timm", "hf"):
            state = converters.to_torch_state_dict(mae, layout)
            again = converters.from_checkpoint(
                state, num_heads=4, decoder_num_heads=2, grid=(3, 5)
            )
            for a, b in zip(again.weights, mae.weights, strict=True):
                self.assertAllEqual(a, b)

    def test_lora_is_merged_and_what_is_quantized_is_refused(self):
        encoder = tiny.vit()
        layer = encoder.blocks[0].mlp_in
        layer.enable_lora(2, lora_alpha=6)
        layer.lora_kernel_b.assign(tiny.normal(2, 16))
        state = converters.to_torch_state_dict(encoder)
        kernel, _, first, second = map(self.to_numpy, layer.weights)
        self.assertAllClose(
            state["blocks.0.mlp.fc1.weight"],
            (kernel + 3 * first @ second).T,
        )
        for model in (encoder, tiny.vit()):
            model.quantize("int8")
            with self.assertRaisesRegex(ValueError, "mode='int8'"):
                converters.to_torch_state_dict(model)

    def test_layer_scale_and_no_class_token(self):
        encoder = keras_mim.encoders.ViT(
            (16, 16, 3),
            4,
            32,
            1,
            4,
            64,
            use_class_token=False,
            positions="learned",
            layer_scale=0.1,
        )
        randomise(encoder)
        state = converters.to_torch_state_dict(encoder, "timm")
        self.assertEqual(state["blocks.0.ls2.gamma"].shape, (32,))
        self.assertNotIn("cls_token", state)
        again = converters.from_checkpoint(state, num_heads=4)
        for a, b in zip(again.weights, encoder.weights, strict=True):
            self.assertAllEqual(a, b)
        for layout in ("mae", "hf"):
            with self.assertRaisesRegex(
                ValueError, "no place for .*0.ls1.gamma"
            ):
                converters.to_torch_state_dict(encoder, layout)

    def test_head_of_a_swin_of_one_stage(self):
        # Its names say nothing of Microsoft's or timm's but by the head.
        encoder = keras_mim.encoders.Swin((8, 8, 3), 2, 8, (1,), (1,), 2)
        model = keras_mim.transfer.Classifier(encoder, 3)
        for layout, name in (("swin", "head.bias"), ("timm", "head.fc.bias")):
            state = converters.to_torch_state_dict(model, layout)
            state[name] += 1
            report = converters.load_swin(model, state)
            self.assertEqual((report.unused, report.missing), ((), ()))
            self.assertAllEqual(model.head.bias, state[name].numpy())

    def test_tensors_share_no_memory_with_the_model(self):
        encoder = keras_mim.encoders.ViT((8, 8, 3), 4, 32, 1, 4, 64)
        state = converters.to_torch_state_dict(encoder)
        before = self.to_numpy(encoder.blocks[0].mlp_in.bias).copy()
        state["blocks.0.mlp.fc1.bias"] += 1
        self.assertAllEqual(encoder.blocks[0].mlp_in.bias, before)

    def test_unknown_layout(self):
        encoder = keras_mim.encoders.ViT((8, 8, 3), 4, 32, 1, 4, 64)
        with self.assertRaisesRegex(ValueError, "layout='jax'"):
            converters.to_torch_state_dict(encoder, "jax")

    def test_a_head_that_no_checkpoint_holds(self):
        encoder = keras_mim.encoders.ViT((16, 16, 3), 4, 32, 1, 4, 64)
        simmim = keras_mim.SimMIM(
            encoder,
            head=keras_mim.layers.MAEHead(16, 1, 2),
            masking=keras_mim.masking.RandomMasking(0.5),
        )
        with self.assertRaisesRegex(ValueError, "weights of `SimMIMHead`"):
            converters.to_torch_state_dict(simmim)
