import keras

from keras_mim.ops import split_tokens
from tests import tiny
from tests.test_case import TestCase


class SplitTokensTest(TestCase):
    def test_first_and_others(self):
        tokens = tiny.normal(2, 5, 3)
        for number in (0, 1, 5):
            first, others = split_tokens(
                keras.ops.convert_to_tensor(tokens), number
            )
            self.assertAllEqual(first, tokens[:, :number])
            self.assertAllEqual(others, tokens[:, number:])
