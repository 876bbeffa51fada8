import threading

import numpy as np
from keras import ops

from keras_mim.ops import _on_litert
from keras_mim.ops import gelu
from tests import reference
from tests import tiny
from tests.test_case import TestCase


class OnLitertTest(TestCase):
    def test_forms_equal_numpys(self):
        x = tiny.normal(2, 3, 2, 3, 2, 1, 2, 4)
        image = tiny.normal(2, 5, 7, 3)
        with _on_litert.writing():
            for axes in ((5, 0, 1, 3, 6, 2, 4, 7), (7, 6, 5, 4, 3, 2, 1, 0)):
                moved = _on_litert.transpose(ops.convert_to_tensor(x), axes)
                self.assertAllEqual(moved, x.transpose(axes))
            for shift in ((2, 3), (-2, -3), (0, 7)):
                rolled = _on_litert.roll(
                    ops.convert_to_tensor(image), shift, axis=(1, 2)
                )
                self.assertAllEqual(rolled, np.roll(image, shift, (1, 2)))
            values = np.linspace(-6, 6, 101, dtype="float32")
            # Float32, times up to six.
            self.assertAllClose(
                gelu(ops.convert_to_tensor(values)),
                reference.gelu(values.astype("float64")),
                1e-6,
                1e-6,
            )

    def test_are_taken_in_their_context_alone(self):
        seen = []

        def look():
            seen.append(_on_litert.is_writing())

        with self.assertRaises(RuntimeError), _on_litert.writing():
            look()
            # What trains meanwhile.
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
            raise RuntimeError
        look()
        self.assertEqual(seen, [True, False, False])
