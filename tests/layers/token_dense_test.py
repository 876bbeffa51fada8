import keras
import numpy as np

from keras_mim.layers._token_dense import TokenDense
from tests import tiny
from tests.test_case import TestCase


class TokenDenseTest(TestCase):
    def test_is_keras_dense_at_every_rank(self):
        own, kerass = TokenDense(5), keras.layers.Dense(5)
        kerass.build((None, 3))
        for shape in ((4, 3), (2, 4, 3), (2, 2, 4, 3)):
            x = tiny.normal(*shape)
            output = own(x)
            kerass.set_weights(own.get_weights())
            self.assertEqual(tuple(output.shape), (*shape[:-1], 5))
            self.assertAllClose(output, kerass(x), 1e-6, 1e-6)

    def test_lora_is_written_as_it_is(self):
        def make(lora=True):
            layer = TokenDense(5)
            layer.build((None, 3))
            if lora:
                layer.enable_lora(2, lora_alpha=6)
            return layer

        layer = make()
        layer.lora_kernel_b.assign(tiny.normal(2, 5))
        store = {}
        layer.save_own_variables(store)
        again, merged = make(), make(lora=False)
        again.load_own_variables(store)
        for own, old in zip(again.weights, layer.weights, strict=True):
            self.assertAllEqual(own, old)
        # What has no LoRA gets its kernel, as from Keras's own files.
        merged.load_own_variables(store)
        kernel, bias, first, second = map(self.to_numpy, layer.weights)
        self.assertAllClose(merged.kernel, kernel + 3 * first @ second)
        self.assertAllEqual(merged.bias, bias)
        kerass = {}
        merged.save_own_variables(kerass)
        again.load_own_variables(kerass)
        self.assertAllEqual(again.kernel, merged.kernel)
        with self.assertRaisesRegex(ValueError, "Received: .*'bias'"):
            TokenDense(5, use_bias=False).load_own_variables(store)

    def test_encoders_can_be_quantized_and_get_lora(self):
        images = tiny.images()
        for encoder in (tiny.vit(), tiny.swin()):
            before = self.to_numpy(encoder(images))
            adapted = encoder.copy()
            adapted.blocks[0].mlp_in.enable_lora(2)
            # LoRA starts as nothing.
            self.assertAllClose(adapted(images), before, 1e-6, 1e-6)
            encoder.quantize("int8")
            kernels = [w for w in encoder.weights if w.dtype == "int8"]
            self.assertGreaterEqual(len(kernels), 4)
            after = self.to_numpy(encoder(images))
            # Eight bits keep about two digits of values of size 1.
            self.assertLess(np.abs(after - before).max(), 0.2)
            self.assertGreater(np.abs(after - before).max(), 0.0)
