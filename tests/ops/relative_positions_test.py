import numpy as np

from keras_mim.ops import relative_position_index
from tests.test_case import TestCase


class RelativePositionsTest(TestCase):
    def test_golden_values_with_a_class_token(self):
        self.assertAllEqual(
            relative_position_index((2, 2), num_prefix_tokens=1),
            [
                [11, 9, 9, 9, 9],
                [10, 4, 3, 1, 0],
                [10, 5, 4, 2, 1],
                [10, 7, 6, 4, 3],
                [10, 8, 7, 5, 4],
            ],
        )

    def test_pairs_at_the_same_offset_share_a_row_and_no_others_do(self):
        grid = 3, 5
        index = relative_position_index(grid)
        places = [(r, c) for r in range(3) for c in range(5)]
        row_of = {}
        for i, (row, column) in enumerate(places):
            for j, (other_row, other_column) in enumerate(places):
                offset = row - other_row, column - other_column
                row_of.setdefault(offset, set()).add(int(index[i, j]))
        self.assertTrue(all(len(rows) == 1 for rows in row_of.values()))
        rows = sorted(rows.pop() for rows in row_of.values())
        self.assertEqual(rows, list(range(5 * 9)))
        self.assertEqual(index.dtype, np.int32)
