import numpy as np

from keras_mim import ops
from keras_mim.layers import OneSigmaNormal
from keras_mim.layers import PatchEmbedding
from tests.test_case import TestCase

IMAGES = np.random.default_rng(0).normal(size=(2, 8, 12, 5)).astype("float32")


class PatchEmbeddingTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            PatchEmbedding,
            {"patch_size": 4, "hidden_dim": 6},
            inputs=[IMAGES],
            expected_shape=(2, 6, 6),
            expected_dtype="float32",
            num_weights=2,
        )

    def test_is_a_linear_map_of_the_flat_patch(self):
        layer = PatchEmbedding(4, 6)
        tokens = layer(IMAGES)
        kernel, bias = (self.to_numpy(w) for w in layer.weights)
        patches = self.to_numpy(ops.patchify(IMAGES, 4))
        # Sums of 80 float32 products, in another order.
        self.assertAllClose(tokens, patches @ kernel + bias, 1e-5, 1e-5)

    def test_initial_weights_are_those_of_mae(self):
        layer = PatchEmbedding(16, 768)
        layer.build((None, 32, 32, 3))
        kernel, bias = (self.to_numpy(w) for w in layer.weights)
        self.assertEqual(kernel.shape, (768, 768))
        # Xavier: sqrt(6 / (768 + 768)); the bias: 1 / sqrt(768). A uniform
        # draw of n comes within a few times 1 / n of its bound: n is 768 for
        # the bias, so 1 % is eight times 1 / n. The deviation of 590,000
        # draws has a standard error below 0.1 %; Keras's default for a
        # convolution would be off by a factor of 11.
        self.assertAllClose(np.abs(kernel).max(), 0.0625, rtol=1e-3)
        self.assertAllClose(kernel.std(), 0.0625 / 3**0.5, rtol=1e-2)
        self.assertAllClose(np.abs(bias).max(), 768**-0.5, rtol=1e-2)

    def test_other_initializers(self):
        layer = PatchEmbedding(
            4,
            6,
            kernel_initializer=OneSigmaNormal(0.5, seed=0),
            bias_initializer="zeros",
        )
        layer = PatchEmbedding.from_config(layer.get_config())
        layer.build((None, 8, 12, 5))
        expected = self.to_numpy(OneSigmaNormal(0.5, seed=0)((80, 6)))
        self.assertAllEqual(layer.projection.kernel, expected)
        self.assertAllEqual(layer.projection.bias, np.zeros(6))

    def test_integer_images(self):
        images = np.arange(96, dtype="uint8").reshape(1, 8, 4, 3)
        layer = PatchEmbedding(4, 6)
        self.assertAllEqual(layer(images), layer(images.astype("float32")))

    def test_image_not_divisible_by_the_patch(self):
        with self.assertRaisesRegex(ValueError, "patch_size=5"):
            PatchEmbedding(5, 6)(IMAGES)
