"""The parts of MAE and SimMIM against lightly's: same arrays in, same out.

What is only copied or counted must be equal: tolerance 0. lightly knows square
images only, channels first; its patches have MAE's order inside.
"""

import random
import unittest.mock

import keras
import numpy as np
import pytest

from keras_mim import layers
from keras_mim import ops
from keras_mim.masking import BlockMasking
from keras_mim.masking import RandomMasking
from keras_mim.targets import PixelTarget
from tests.parity.record import check
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
utils = pytest.importorskip("lightly.models.utils")

PEER = f"lightly {pytest.importorskip('lightly').__version__}"
BATCH, NUM_PATCHES, HIDDEN_DIM = 3, 16, 8


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return values.astype("float32")


def channels_first(images):
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


class PatchesTest(TestCase):
    def test_patchify_and_back(self):
        for size, patch_size, channels in ((8, 4, 3), (24, 8, 1), (14, 2, 5)):
            images = normal(2, size, size, channels)
            patches = self.to_numpy(ops.patchify(images, patch_size))
            theirs = utils.patchify(channels_first(images), patch_size)
            check("patchify", patches, theirs.numpy(), 0, PEER)

            patches = normal(*patches.shape, seed=1)
            grid = (size // patch_size,) * 2
            theirs = utils.unpatchify(
                torch.from_numpy(patches), patch_size, channels
            )
            check(
                "unpatchify",
                self.to_numpy(ops.unpatchify(patches, grid, patch_size)),
                theirs.numpy().transpose(0, 2, 3, 1),
                0,
                PEER,
            )

    def test_normalised_target(self):
        images = 0.3 * normal(2, 16, 16, 3) + 0.5
        images[0, :4, :4] = 0.5  # A flat patch: only epsilon under the root.
        target = PixelTarget(normalize=True, patch_size=4)
        theirs = utils.normalize_mean_var(
            utils.patchify(channels_first(images), 4)
        )
        # Float32 sums over 48 values, in another order.
        ours = self.to_numpy(target(images))
        check("normalised target", ours, theirs.numpy(), 1e-6, PEER)

    def test_sine_cosine_positions(self):
        for side, hidden_dim, num_prefix_tokens in (
            (14, 768, 1),
            (14, 512, 0),
            (3, 8, 4),
        ):
            ours = ops.sine_cosine_positions(
                (side, side), hidden_dim, num_prefix_tokens
            )
            theirs = utils.get_2d_sine_cosine_positional_embedding(
                hidden_dim, side, num_prefix_tokens=num_prefix_tokens
            )
            # lightly computes the frequencies in float32, we in float64; the
            # angle is up to 13 times a frequency.
            check("sine-cosine positions", ours, theirs, 1e-5, PEER)


class MasksTest(TestCase):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(0)
        # A multiple of 1/16 each, so that no two are equal.
        noise = np.tile(np.arange(NUM_PATCHES) / NUM_PATCHES, (BATCH, 1))
        self.noise = rng.permuted(noise, axis=1).astype("float32")

    def lightly_indices(self, mask_ratio):
        """Returns lightly's kept and hidden tokens for the noise of the test.

        Token 0 is the class token: it is kept, and comes first.
        """
        noise = np.concatenate([np.zeros((BATCH, 1)), self.noise], axis=1)
        noise = torch.from_numpy(noise.astype("float32"))
        with unittest.mock.patch.object(torch, "rand", return_value=noise):
            return utils.random_token_mask(
                (BATCH, 1 + NUM_PATCHES), mask_ratio=mask_ratio
            )

    def masked(self, mask_ratio):
        num_visible = int(NUM_PATCHES * (1 - mask_ratio))
        num_masked = NUM_PATCHES - num_visible
        masked = ops.mask_from_noise(
            keras.ops.convert_to_tensor(self.noise), num_masked
        )
        return masked, num_visible, num_masked

    def test_the_same_noise_hides_the_same_patches(self):
        for ratio in (0.5, 0.75, 0.9):
            masked, num_visible, num_masked = self.masked(ratio)
            keep, hide = (i.numpy() for i in self.lightly_indices(ratio))
            # lightly leaves the indices in the order of the noise, as MAE
            # does; ours are in image order.
            check(
                "visible indices",
                self.to_numpy(ops.visible_indices(masked, num_visible)),
                np.sort(keep[:, 1:], axis=1) - 1,
                0,
                PEER,
            )
            check(
                "hidden indices",
                self.to_numpy(ops.visible_indices(~masked, num_masked)),
                np.sort(hide, axis=1) - 1,
                0,
                PEER,
            )

    def test_gather_and_restore(self):
        tokens = normal(BATCH, 1 + NUM_PATCHES, HIDDEN_DIM)
        encoded = normal(BATCH, 1 + NUM_PATCHES, HIDDEN_DIM, seed=1)
        for ratio in (0.5, 0.75, 0.9):
            masked, num_visible, _ = self.masked(ratio)
            keep, _ = self.lightly_indices(ratio)
            in_order = keep.sort(dim=1).values
            theirs = utils.get_at_index(torch.from_numpy(tokens), in_order)
            visible = layers.GatherVisible(1)(
                tokens, masked, num_visible=num_visible
            )
            visible = self.to_numpy(visible)
            check("gathered tokens", visible, theirs.numpy(), 0, PEER)

            # Whatever was done to the tokens in between, each must come back
            # to its place: lightly's in the order of the noise, ours in image
            # order.
            restore = layers.RestoreTokens(1)
            part = encoded[:, : 1 + num_visible]
            restored = self.to_numpy(restore(part, masked))
            token = torch.from_numpy(self.to_numpy(restore.token).copy())
            order = keep.argsort(dim=1).argsort(dim=1)
            theirs = utils.set_at_index(
                utils.repeat_token(token, (BATCH, 1 + NUM_PATCHES)),
                keep,
                utils.get_at_index(torch.from_numpy(part.copy()), order),
            )
            check("restored tokens", restored, theirs.numpy(), 0, PEER)

    def test_restore_indices(self):
        masked, num_visible, num_masked = self.masked(0.75)
        tokens = torch.from_numpy(normal(BATCH, NUM_PATCHES, HIDDEN_DIM))
        both = [
            utils.get_at_index(
                tokens, torch.from_numpy(self.to_numpy(i).astype("int64"))
            )
            for i in (
                ops.visible_indices(masked, num_visible),
                ops.visible_indices(~masked, num_masked),
            )
        ]
        restore = self.to_numpy(ops.restore_indices(masked)).astype("int64")
        again = utils.get_at_index(torch.cat(both, 1), torch.tensor(restore))
        check("restore indices", again.numpy(), tokens.numpy(), 0, PEER)

    def test_gather_tokens_in_any_order(self):
        tokens = normal(BATCH, NUM_PATCHES, HIDDEN_DIM)
        indices = np.argsort(self.noise, axis=1)[:, :5]
        theirs = utils.get_at_index(
            torch.from_numpy(tokens), torch.from_numpy(indices)
        )
        ours = ops.gather_tokens(
            keras.ops.convert_to_tensor(tokens),
            keras.ops.convert_to_tensor(indices.astype("int32")),
        )
        check("gather_tokens", self.to_numpy(ours), theirs.numpy(), 0, PEER)

    def test_mask_token_and_class_token(self):
        tokens = normal(BATCH, NUM_PATCHES, HIDDEN_DIM)
        masked, _, num_masked = self.masked(0.5)
        layer = layers.MaskToken()
        ours = self.to_numpy(layer(tokens, masked))
        token = torch.from_numpy(self.to_numpy(layer.token).copy())
        indices = self.to_numpy(ops.visible_indices(~masked, num_masked))
        peer_tokens = torch.from_numpy(tokens)
        at_index = utils.mask_at_index(
            peer_tokens, torch.from_numpy(indices.astype("int64")), token
        )
        peer_masked = torch.from_numpy(self.to_numpy(masked).copy())
        at_true = utils.mask_bool(peer_tokens, peer_masked, token)
        check("mask token", ours, at_index.numpy(), 0, PEER)
        check("mask token", ours, at_true.numpy(), 0, PEER)

        layer = layers.ClassToken()
        ours = self.to_numpy(layer(tokens))
        token = torch.from_numpy(self.to_numpy(layer.token).copy())
        theirs = utils.prepend_class_token(peer_tokens, token)
        check("class token", ours, theirs.numpy(), 0, PEER)


class BlocksTest(TestCase):
    def test_block_masks_are_as_blocky(self):
        random.seed(0)
        theirs = [
            utils.random_block_mask_image(
                (14, 14), num_masks=75, min_num_masks_per_block=16
            ).numpy()
            for _ in range(500)
        ]
        masking = BlockMasking(75 / 196, patch_size=4, seed=0)
        images = np.zeros((500, 56, 56, 3), "float32")
        ours = keras.ops.convert_to_numpy(masking(images))
        # A statistic of 500 masks of each, good to 0.01; and ours fill up with
        # single patches where lightly's stop short of 75.
        check(
            "block masks, hidden neighbours",
            self.hidden_neighbours(ours.reshape(-1, 14, 14)),
            self.hidden_neighbours(np.stack(theirs)),
            0.04,
            PEER,
        )

    def hidden_neighbours(self, masked):
        """Share of hidden patches right of hidden ones."""
        return masked[:, :, 1:][masked[:, :, :-1]].mean()


class CountsTest(TestCase):
    """How many patches are hidden.

    With a class token that is never hidden, lightly keeps int(n * (1 - ratio))
    of the n patches and the class token: MAE's rule, float error included, and
    ours. Where they differ:

    - With `mask_class_token=True`, lightly counts the class token as one more
      patch and may hide it. We never do.
    - lightly also hides everything, where nothing would stay visible. We raise.
    - For cells, lightly's `random_grid_token_mask` rounds the kept cells down,
      SimMIM the hidden ones up. In real numbers that is the same; float errors
      make it differ (100 cells at 0.9: 91 hidden there, SimMIM's 90 here).
    - lightly's grids are square.
    """

    def hidden(self, grid, ratio, scale=None):
        masking = RandomMasking(
            ratio, mask_patch_size=scale and 2 * scale, patch_size=2, seed=0
        )
        height, width = grid
        images = np.zeros((BATCH, 2 * height, 2 * width, 1), "float32")
        masked = self.to_numpy(masking(images))
        counts = masked.sum(axis=1)
        self.assertEqual(set(counts), {masking.num_masked(grid)})
        return masked

    def test_patches(self):
        for side in (2, 4, 5, 10, 14, 20):
            for ratio in (0.5, 0.75, 0.9):
                num_patches = side**2
                if int(num_patches * (1 - ratio)) == 0:
                    with self.assertRaisesRegex(ValueError, "at least one"):
                        self.hidden((side, side), ratio)
                    continue
                _, hidden = utils.random_token_mask(
                    (BATCH, 1 + num_patches), mask_ratio=ratio
                )
                ours = self.hidden((side, side), ratio).sum(axis=1)
                theirs = np.full(BATCH, hidden.shape[1])
                check("hidden patches", ours, theirs, 0, PEER)

    def test_a_class_token_that_may_be_hidden_counts_at_lightly(self):
        # 65 tokens: int(65 * .5) = 32 are kept, the class token or not.
        _, hidden = utils.random_token_mask(
            (BATCH, 65), mask_ratio=0.5, mask_class_token=True
        )
        self.assertEqual(hidden.shape[1], 33)
        self.assertEqual(self.hidden((8, 8), 0.5).sum(axis=1)[0], 32)

    def test_cells(self):
        for side, scale in ((8, 2), (12, 4), (28, 2)):
            for ratio in (0.5, 0.6, 0.75, 0.9):
                if int((side // scale) ** 2 * (1 - ratio)) == 0:
                    continue
                _, hidden = utils.random_grid_token_mask(
                    (BATCH, 1 + side**2), mask_ratio=ratio, grid_size=scale
                )
                ours = self.hidden((side, side), ratio, scale)
                theirs = np.full(BATCH, hidden.shape[1])
                check("hidden cells", ours.sum(axis=1), theirs, 0, PEER)
                # Both hide whole cells.
                theirs = np.zeros((BATCH, side**2), bool)
                np.put_along_axis(theirs, hidden.numpy() - 1, True, axis=1)
                for masked in (ours, theirs):
                    cells = masked.reshape(
                        BATCH, side // scale, scale, side // scale, scale
                    )
                    share = cells.mean(axis=(2, 4))
                    self.assertEqual(set(share.ravel()), {0.0, 1.0})

    def test_cells_where_float_error_makes_the_rules_differ(self):
        _, hidden = utils.random_grid_token_mask(
            (1, 1 + 20**2), mask_ratio=0.9, grid_size=2
        )
        self.assertEqual(hidden.shape[1], 4 * 91)
        ours = self.hidden((20, 20), 0.9, 2)
        self.assertEqual(set(ours.sum(axis=1)), {4 * 90})
