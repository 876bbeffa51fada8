import math

import numpy as np

from keras_mim.masking import BlockMasking
from tests.test_case import TestCase

IMAGES = np.zeros((64, 56, 56, 3), "float32")
BEIT = {"mask_ratio": 75 / 196, "patch_size": 4}


def beits_mask(rng, grid=14, target=75, min_block=16, min_aspect=0.3):
    """BEiT's rule in plain loops: up to ten tries for every block."""
    masked = np.zeros((grid, grid), bool)
    while masked.sum() < target:
        remaining = target - masked.sum()
        for _ in range(10):
            area = min_block + rng.random() * (remaining - min_block)
            low = math.log(min_aspect)
            aspect = math.exp(rng.uniform(low, -low))
            height = round(math.sqrt(area * aspect))
            width = round(math.sqrt(area / aspect))
            if height >= grid or width >= grid:
                continue
            top = rng.integers(grid - height + 1)
            left = rng.integers(grid - width + 1)
            block = np.zeros_like(masked)
            block[top : top + height, left : left + width] = True
            new = (block & ~masked).sum()
            if 0 < new <= remaining:
                masked |= block
                break
        else:
            break
    return masked


def hidden_neighbours(masked):
    """Share of hidden patches among the neighbours of hidden ones."""
    pairs = [
        (masked[:, 1:], masked[:, :-1]),
        (masked[:, :, 1:], masked[:, :, :-1]),
    ]
    both = sum((a & b).sum() for a, b in pairs)
    either = sum((a | b).sum() for a, b in pairs)
    return both / either


class BlockMaskingTest(TestCase):
    def test_layer_basics(self):
        self.run_layer_test(
            BlockMasking,
            {
                "mask_ratio": 0.5,
                "patch_size": 8,
                "min_block": 4,
                "num_tries": 3,
                "seed": 1,
            },
            inputs=[IMAGES[:4, :32, :48]],
            expected_shape=(4, 24),
            expected_dtype="bool",
            num_weights=0,
        )

    def test_counts_are_exact(self):
        for ratio in (0.1, 75 / 196, 0.5, 0.75, 0.9):
            masking = BlockMasking(ratio, patch_size=4, seed=0)
            masked = self.to_numpy(masking(IMAGES))
            count = round(196 * ratio)
            self.assertEqual(masking.num_masked((14, 14)), count)
            self.assertAllEqual(masked.sum(axis=1), [count] * 64)

    def test_masks_are_as_blocky_as_beits(self):
        masking = BlockMasking(**BEIT, seed=0)
        ours = np.concatenate(
            [self.to_numpy(masking(IMAGES)) for _ in range(4)]
        ).reshape(-1, 14, 14)
        rng = np.random.default_rng(0)
        theirs = np.stack([beits_mask(rng) for _ in range(1000)])
        # BEiT's masks hide 75 or a little less.
        self.assertLessEqual(theirs.sum(axis=(1, 2)).max(), 75)
        expected = hidden_neighbours(theirs)
        random = rng.permuted(np.tile(np.arange(196) < 75, (256, 1)), axis=1)
        scattered = hidden_neighbours(random.reshape(-1, 14, 14))
        # Half way to random masks would be 0.2 off. The 256 masks scatter by
        # 0.01; single patches that fill the count up take some 0.03.
        self.assertGreater(expected - scattered, 0.35)
        self.assertAllClose(hidden_neighbours(ours), expected, 0, 0.06)

    def test_every_place_is_hidden_alike_but_for_the_border(self):
        masking = BlockMasking(**BEIT, seed=3)
        masked = np.concatenate(
            [self.to_numpy(masking(IMAGES)) for _ in range(8)]
        )
        share = masked.mean(axis=0).reshape(14, 14)
        # Rectangles reach the middle from all sides. Turned by half, masks are
        # as likely; 512 of them scatter by 0.022 each.
        self.assertGreater(share[5:9, 5:9].mean(), share[0].mean())
        self.assertLess(np.abs(share - share[::-1, ::-1]).max(), 0.16)

    def test_cells_are_hidden_whole(self):
        masking = BlockMasking(
            0.5,
            min_block=2,
            num_tries=5,
            mask_patch_size=8,
            patch_size=4,
            seed=0,
        )
        masked = self.to_numpy(masking(IMAGES[:, :48]))
        cells = masked.reshape(-1, 6, 2, 7, 2).mean(axis=(2, 4))
        self.assertTrue(np.isin(cells, (0, 1)).all())
        self.assertAllEqual(cells.sum(axis=(1, 2)), [21] * 64)

    def test_same_seed_same_masks(self):
        first, second = (BlockMasking(**BEIT, seed=7) for _ in range(2))
        self.assertAllEqual(first(IMAGES), second(IMAGES))
        again = self.to_numpy(first(IMAGES))
        self.assertTrue((again != self.to_numpy(second(IMAGES * 0))).sum() == 0)
        self.assertTrue((again[0] != again[1]).any())

    def test_wrong_arguments(self):
        for arguments, message in (
            ({"mask_ratio": 1.0}, "mask_ratio=1.0"),
            ({"min_block": 0}, "min_block=0"),
            ({"num_tries": 0}, "num_tries=0"),
            ({"min_aspect": 1.5}, "min_aspect=1.5"),
            ({"mask_patch_size": 6}, "mask_patch_size=6, patch_size=4"),
            ({"mask_patch_size": 0}, "mask_patch_size=0"),
            ({"mask_patch_size": "8"}, "mask_patch_size='8'"),
            ({"mask_ratio": 1e-4}, "hides 0 of 196"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                BlockMasking(**{**BEIT, **arguments})(IMAGES)
