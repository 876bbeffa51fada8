import keras
import numpy as np

from keras_mim.layers import WindowAttention
from tests import reference
from tests.test_case import TestCase


def feature_map(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, height, width, 8)).astype("float32")


def make(num_heads, window_size, shift_size, height, width):
    """Returns a layer with random weights, and a compiled model of it."""
    layer = WindowAttention(num_heads, window_size, shift_size)
    inputs = keras.Input((height, width, 8))
    model = keras.Model(inputs, layer(inputs))
    reference.randomise(layer)
    return layer, lambda x: model.predict(x, verbose=0)


def connected(height, width, window, shift):
    """Tells which tokens share a window, and which of these may attend.

    Returns two boolean matrices, and the offsets (row, column) of all pairs.
    """
    row, column = np.indices((height, width)).reshape(2, -1)
    rolled = [(row - shift) % height, (column - shift) % width]
    together, allowed, offsets = True, True, []
    for old, new in zip((row, column), rolled):
        cell, wrapped = new // window, old < shift
        together = together & (cell[:, None] == cell[None, :])
        allowed = allowed & (wrapped[:, None] == wrapped[None, :])
        offsets.append(new[:, None] - new[None, :])
    return together, allowed, offsets


def in_numpy(x, w, num_heads, window, shift):
    """All pairs of a padded map's tokens; logits say who is in a window."""
    batch, height, width, dim = x.shape
    pads = (-height % window, -width % window)
    x = np.pad(x, ((0, 0), (0, pads[0]), (0, pads[1]), (0, 0)))
    padded = x.shape[1:3]
    together, allowed, offsets = connected(*padded, window, shift)
    x = x.reshape(batch, -1, dim) @ w["query_key_value/kernel"]
    x = x + w["query_key_value/bias"]
    query, key, value = (
        part.reshape(*part.shape[:2], num_heads, -1).swapaxes(1, 2)
        for part in np.split(x, 3, axis=-1)
    )
    logits = query @ key.swapaxes(2, 3) / np.sqrt(dim // num_heads)
    side = 2 * window - 1
    table = w["table"].reshape(side, side, num_heads)
    rows, columns = (
        np.clip(offset + window - 1, 0, side - 1) for offset in offsets
    )
    logits = logits + table[rows, columns].transpose(2, 0, 1)
    logits = np.where(together, logits - 100.0 * ~allowed, -np.inf)
    x = (reference.softmax(logits) @ value).swapaxes(1, 2)
    x = x.reshape(batch, -1, dim) @ w["projection/kernel"]
    x = (x + w["projection/bias"]).reshape(batch, *padded, dim)
    return x[:, :height, :width]


class WindowAttentionTest(TestCase):
    def test_layer_basics(self):
        for shift_size in (0, 1):
            self.run_layer_test(
                WindowAttention,
                {"num_heads": 2, "window_size": 2, "shift_size": shift_size},
                inputs=[feature_map(5, 6)],
                expected_shape=(2, 5, 6, 8),
                expected_dtype="float32",
                num_weights=5,
            )

    def test_equals_attention_over_all_pairs_in_numpy(self):
        for height, width, window, shift in (
            (4, 6, 2, 0),
            (6, 9, 3, 1),
            (5, 7, 3, 1),  # Padded by one row and two columns.
            (9, 8, 4, 2),  # Padded rows only.
        ):
            with self.subTest(height=height, width=width, shift=shift):
                x = feature_map(height, width)
                layer, apply = make(2, window, shift, height, width)
                w = reference.weights(layer)
                expected = in_numpy(x, w, 2, window, shift)
                self.assertAllClose(apply(x), expected, 1e-5, 1e-5)

    def test_opposite_sides_do_not_attend_to_each_other(self):
        # Rolled by one, the last window holds all four corners of the map.
        x = feature_map(6, 6)
        _, apply = make(2, 2, 1, 6, 6)
        before = apply(x)
        x[:, 0, 0] += 1.0
        changed = (apply(x) != before).any(axis=(0, 3))
        expected = np.zeros((6, 6), bool)
        expected[0, 0] = True
        self.assertAllEqual(changed, expected)

    def test_neighbours_across_the_unshifted_border_attend(self):
        x = feature_map(6, 6)
        for shift, rows in ((0, slice(0, 2)), (1, slice(1, 3))):
            _, apply = make(2, 2, shift, 6, 6)
            before = apply(x)
            other = x.copy()
            other[:, 1, 1] += 1.0
            changed = (apply(other) != before).any(axis=(0, 3))
            expected = np.zeros((6, 6), bool)
            expected[rows, rows] = True
            self.assertAllEqual(changed, expected)

    def test_window_shrinks_to_the_shorter_side(self):
        for window_size in (3, 7):
            x = feature_map(3, 6)
            layer, apply = make(2, window_size, 1, 3, 6)
            self.assertEqual((layer.window, layer.shift), (3, 0))
            self.assertEqual(tuple(layer.table.shape), (25, 2))
            expected = in_numpy(x, reference.weights(layer), 2, 3, 0)
            self.assertAllClose(apply(x), expected, 1e-5, 1e-5)

    def test_initial_weights(self):
        layer = WindowAttention(8, 7)
        layer.build((None, 14, 14, 128))
        for weight in (layer.table, layer.query_key_value.kernel):
            # 1352 values: the sample's deviation is within 10 %.
            self.assertAllClose(np.std(self.to_numpy(weight)), 0.02, 0.1)
        self.assertAllEqual(layer.query_key_value.bias, np.zeros(384))

    def test_float16_stays_finite(self):
        layer = WindowAttention(1, 2, 1, dtype="mixed_float16")
        output = layer(100 * feature_map(4, 4))
        self.assertTrue(np.isfinite(self.to_numpy(output)).all())

    def test_wrong_arguments(self):
        for arguments, message in (
            ((2, 2, 2), "window_size=2, shift_size=2"),
            ((2, 0), "window_size=0"),
            ((2, 2, -1), "shift_size=-1"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                WindowAttention(*arguments)
        with self.assertRaisesRegex(ValueError, "hidden_dim=8, num_heads=3"):
            WindowAttention(3, 2).build((None, 4, 4, 8))
