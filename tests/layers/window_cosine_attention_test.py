import keras
import numpy as np

from keras_mim.layers import WindowCosineAttention
from keras_mim.layers.window_cosine_attention import log_offsets
from tests import reference
from tests.layers.window_attention_test import connected
from tests.layers.window_attention_test import feature_map
from tests.test_case import TestCase


def make(height, width, *arguments, **further):
    """Returns a layer with random weights, and a compiled model of it."""
    layer = WindowCosineAttention(*arguments, **further)
    inputs = keras.Input((height, width, 8))
    model = keras.Model(inputs, layer(inputs))
    reference.randomise(layer)
    return layer, lambda x: model.predict(x, verbose=0)


def position_bias(offset, w, largest):
    """The bias for matrices of (row, column) offsets, pair by pair."""
    x = np.stack(offset, axis=-1) * 8 / largest
    x = np.sign(x) * np.log(np.abs(x) + 1) / np.log(8)
    x = x @ w["position_in/kernel"] + w["position_in/bias"]
    x = np.maximum(x, 0) @ w["position_out/kernel"]
    return 16 / (1 + np.exp(-x.transpose(2, 0, 1)))


def in_numpy(x, w, num_heads, window, shift, largest):
    """All pairs of a padded map's tokens; logits say who is in a window."""
    batch, height, width, dim = x.shape
    pads = (-height % window, -width % window)
    x = np.pad(x, ((0, 0), (0, pads[0]), (0, pads[1]), (0, 0)))
    padded = x.shape[1:3]
    together, allowed, offsets = connected(*padded, window, shift)
    x = x.reshape(batch, -1, dim) @ w["query_key_value/kernel"]
    query, key, value = (
        part.reshape(*part.shape[:2], num_heads, -1).swapaxes(1, 2)
        for part in np.split(
            x
            + np.concatenate(
                [w["query_bias"], 0 * x[0, 0, :dim], w["value_bias"]]
            ),
            3,
            axis=-1,
        )
    )
    query, key = (
        part / np.maximum(np.linalg.norm(part, axis=-1, keepdims=True), 1e-12)
        for part in (query, key)
    )
    scale = np.minimum(np.exp(w["logit_scale"]), 100)
    logits = scale[:, None, None] * (query @ key.swapaxes(2, 3))
    logits = logits + position_bias(offsets, w, largest)
    logits = np.where(together, logits - 100.0 * ~allowed, -np.inf)
    x = (reference.softmax(logits) @ value).swapaxes(1, 2)
    x = x.reshape(batch, -1, dim) @ w["projection/kernel"]
    x = (x + w["projection/bias"]).reshape(batch, *padded, dim)
    return x[:, :height, :width]


class WindowCosineAttentionTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            WindowCosineAttention,
            {
                "num_heads": 2,
                "window_size": 2,
                "shift_size": 1,
                "pretrained_window_size": 3,
            },
            inputs=[feature_map(5, 6)],
            expected_shape=(2, 5, 6, 8),
            expected_dtype="float32",
            num_weights=9,
        )

    def test_equals_attention_over_all_pairs_in_numpy(self):
        for height, width, window, shift, pretrained, largest in (
            (4, 6, 2, 0, None, 1),
            (5, 7, 3, 1, 5, 4),  # Padded by one row and two columns.
        ):
            with self.subTest(height=height, width=width):
                x = feature_map(height, width)
                layer, apply = make(height, width, 2, window, shift, pretrained)
                # Above the bound, and below.
                layer.logit_scale.assign([4.7, 1.2])
                w = reference.weights(layer)
                expected = in_numpy(x, w, 2, window, shift, largest)
                # A scale of 100 enlarges the rounding of cosines.
                self.assertAllClose(apply(x), expected, 1e-4, 2e-5)

    def test_size_of_queries_and_keys_does_not_matter(self):
        x = feature_map(4, 4)
        layer, apply = make(4, 4, 2, 4)
        layer.query_bias.assign(np.zeros(8))
        before = apply(x)
        kernel = self.to_numpy(layer.query_key_value.kernel).copy()
        kernel[:, :16] *= 7.0
        layer.query_key_value.kernel.assign(kernel)
        self.assertAllClose(apply(x), before, 1e-5, 1e-5)

    def test_window_shrinks_to_the_shorter_side(self):
        for window_size in (3, 7):
            x = feature_map(3, 6)
            layer, apply = make(3, 6, 2, window_size, 1)
            self.assertEqual((layer.window, layer.shift), (3, 0))
            expected = in_numpy(x, reference.weights(layer), 2, 3, 0, 2)
            self.assertAllClose(apply(x), expected, 1e-5, 1e-5)

    def test_log_offsets(self):
        logarithms = log_offsets(3)
        self.assertEqual(logarithms.shape, (25, 2))
        # log8(1 + 8 * 2 / 2), log8(1 + 8 * 1 / 2); rows first.
        expected = np.log([9, 5]) / np.log(8)
        self.assertAllClose(logarithms[0], [-expected[0], -expected[0]])
        self.assertAllClose(logarithms[1], [-expected[0], -expected[1]])
        self.assertAllEqual(logarithms[12], [0, 0])
        # Trained with windows of 5: half as far.
        self.assertAllClose(log_offsets(3, 5)[24, 0], expected[1])
        self.assertAllEqual(log_offsets(1), [[0, 0]])

    def test_weights_do_not_depend_on_the_window(self):
        shapes = []
        for window_size in (2, 4):
            layer = WindowCosineAttention(2, window_size)
            layer.build((None, 8, 8, 8))
            shapes.append([tuple(w.shape) for w in layer.weights])
        self.assertEqual(*shapes)

    def test_padding_gives_finite_gradients(self):
        # Keys of padding are zeros, and so are, at first, its queries. Halves
        # overflow first.
        layer = WindowCosineAttention(2, 3, 1, dtype="mixed_float16")
        inputs = keras.Input((5, 4, 8))
        model = keras.Model(inputs, layer(inputs))
        model.compile(
            keras.optimizers.SGD(0.1), "mse", jit_compile=self.jit_compile()
        )
        x = feature_map(5, 4)
        model.fit(x, x, verbose=0)
        for weight in layer.weights:
            finite = np.isfinite(self.to_numpy(weight)).all()
            self.assertTrue(finite, weight.path)

    def test_logits_are_float32_under_mixed_precision(self):
        exact, mixed = (
            WindowCosineAttention(2, 4, dtype=dtype)
            for dtype in ("float32", "mixed_bfloat16")
        )
        exact.build((None, 4, 4, 8))
        reference.randomise(exact)
        # As sharp as it gets: bfloat16 would round logits by up to 0.25.
        exact.logit_scale.assign([4.7, 4.7])
        mixed.build((None, 4, 4, 8))
        mixed.set_weights(exact.get_weights())
        rng = np.random.default_rng(0)
        halves = [
            keras.ops.cast(rng.normal(size=(2, 2, 16, 4)), "bfloat16")
            for _ in range(3)
        ]
        floats = [keras.ops.cast(x, "float32") for x in halves]
        found = mixed._attend(*halves)
        self.assertEqual(
            keras.backend.standardize_dtype(found.dtype), "bfloat16"
        )
        # The result has 8 bits, and is below 4.
        self.assertAllClose(
            keras.ops.cast(found, "float32"),
            exact._attend(*floats),
            atol=2**-7,
        )

    def test_initial_weights(self):
        layer = WindowCosineAttention(8, 7)
        layer.build((None, 14, 14, 128))
        for weight in (
            layer.query_key_value.kernel,
            layer.projection.kernel,
            layer.position_in.kernel,
            layer.position_out.kernel,
        ):
            # 1024 values and more: the sample's deviation is within 12 %.
            self.assertAllClose(np.std(self.to_numpy(weight)), 0.02, 0.12)
        self.assertAllClose(layer.logit_scale, np.full(8, np.log(10)))
        for weight in (layer.query_bias, layer.value_bias):
            self.assertAllEqual(weight, np.zeros(128))
        self.assertAllEqual(layer.position_in.bias, np.zeros(512))

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "pretrained_window_size=0"):
            WindowCosineAttention(2, 2, pretrained_window_size=0)
        with self.assertRaisesRegex(ValueError, "window_size=2, shift_size=2"):
            WindowCosineAttention(2, 2, 2)
        with self.assertRaisesRegex(ValueError, "hidden_dim=8, num_heads=3"):
            WindowCosineAttention(3, 2).build((None, 4, 4, 8))
