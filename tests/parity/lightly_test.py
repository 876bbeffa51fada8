"""The parts of MAE and SimMIM against lightly's: same arrays in, same out.

What is only copied or counted must be equal: tolerance 0. lightly knows square
images only, channels first; its patches have MAE's order inside.
"""

import re
import unittest.mock

import keras
import numpy as np
import pytest

from keras_mim import MAE
from keras_mim import layers
from keras_mim import ops
from keras_mim.encoders import ViT
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
                self.to_numpy(ops.masked_indices(masked, num_masked)),
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
                ops.masked_indices(masked, num_masked),
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
        indices = self.to_numpy(ops.masked_indices(masked, num_masked))
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


class DropPathTest(TestCase):
    def peer(self, depth, rate):
        return timm.models.vision_transformer.VisionTransformer(
            img_size=8,
            patch_size=4,
            embed_dim=HIDDEN_DIM,
            depth=depth,
            num_heads=2,
            num_classes=0,
            drop_path_rate=rate,
        )

    def peer_rates(self, blocks):
        return [
            [
                float(getattr(layer, "drop_prob", 0.0))
                for layer in (block.drop_path1, block.drop_path2)
            ]
            for block in blocks
        ]

    def our_rates(self, depth, rate):
        encoder = ViT(
            (8, 8, 3), 4, HIDDEN_DIM, depth, 2, 16, drop_path_rate=rate
        )
        return [
            [
                sum(layer.rate for layer in end)
                for end in (
                    block.attention_branch_end,
                    block.mlp_branch_end,
                )
            ]
            for block in encoder.blocks
        ]

    def test_rates_rise_linearly_as_timms(self):
        for depth, rate in ((1, 0.1), (2, 0.3), (4, 0.1), (12, 0.2)):
            theirs = self.peer_rates(self.peer(depth, rate).blocks)
            ours = self.our_rates(depth, rate)
            # timm takes them from a float32 tensor.
            check("drop path rates", ours, theirs, 1e-6, "timm")

    def test_lightly_has_the_same_rates_at_both_ends(self):
        # Documented as "linear" from 0 to the rate. But `update_drop_path_rate`
        # of lightly 1.6.0 computes those rates and then gives every block
        # whose rate is not 0 the largest one, so only the ends can agree.
        model = self.peer(4, 0.0)
        utils.update_drop_path_rate(model, 0.3, mode="linear")
        theirs = np.array(self.peer_rates(model.blocks))
        ours = np.array(self.our_rates(4, 0.3))
        ends = [0, -1]
        check("drop path rates, ends", ours[ends], theirs[ends], 1e-6, PEER)

    def test_lightlys_stochastic_depth_is_the_same_in_every_block(self):
        # `add_stochastic_depth_to_blocks` has one rate for all blocks, and
        # knows torchvision's ViT only: another rule than MAE's fine-tuning.
        vision_transformer = pytest.importorskip(
            "torchvision.models.vision_transformer"
        )
        model = vision_transformer.VisionTransformer(
            image_size=8,
            patch_size=4,
            num_layers=3,
            num_heads=2,
            hidden_dim=HIDDEN_DIM,
            mlp_dim=16,
        )
        utils.add_stochastic_depth_to_blocks(model, prob=0.3)
        rates = [
            [block.dropout[-1].p, block.mlp[-1].p]
            for block in model.encoder.layers
        ]
        self.assertAllClose(rates, np.full((3, 2), 0.3))
        self.assertAllClose(self.our_rates(3, 0.3)[-1], rates[-1])


# Ours to timm's and lightly's names.
NAMES = [
    (r"^mae(_\d+)?/mae_head(_\d+)?/restore_tokens/", "decoder.mask_"),
    (r"^mae(_\d+)?/mae_head(_\d+)?/(?=block|norm)", "decoder."),
    (r"^mae(_\d+)?/mae_head(_\d+)?/", ""),
    (r"^(?=patch_embedding|block|norm)", "vit."),
    (r"^position_embedding/class_token/", "vit.cls_"),
    (r"patch_embedding/projection", "patch_embed.proj"),
    (r"block_(\d+)/", r"blocks.\1."),
    (r"attention/query_key_value", "attn.qkv"),
    (r"attention/projection", "attn.proj"),
    (r"attention_norm", "norm1"),
    (r"mlp_norm", "norm2"),
    (r"(norm\d?)/gamma$", r"\1.weight"),
    (r"mlp_in", "mlp.fc1"),
    (r"mlp_out", "mlp.fc2"),
    (r"attention_scale", "ls1"),
    (r"mlp_scale", "ls2"),
    (r"kernel$", "weight"),
    (r"beta$", "bias"),
    (r"/", "."),
]


def canonical_name(path):
    for pattern, replacement in NAMES:
        path = re.sub(pattern, replacement, path)
    return path


class WeightDecayTest(TestCase):
    """Which weights are decayed.

    Ours, in examples/pretrain.py, is MAE's: those of two or more dimensions;
    so the class token and the mask token are. lightly tells by the kind of
    layer and by the name: everything but norms and biases. On MAE's model that
    is the same; the two rules differ for LayerScale, whose factors are neither
    norm nor bias, but have one dimension. (lightly lists the fixed positions
    too: they are frozen and take no step.)
    """

    def ours(self, layer_scale):
        """Returns the names of all trainable weights and of the decayed."""
        from examples import pretrain

        if not pretrain.FLAGS.is_parsed():
            pretrain.FLAGS(["pretrain.py"])
        model = MAE(
            ViT((16, 16, 3), 4, HIDDEN_DIM, 2, 2, 32, layer_scale=layer_scale),
            head=layers.MAEHead(hidden_dim=12, num_layers=1, num_heads=2),
        )
        weights = model.trainable_weights
        for weight in weights:
            weight.assign(np.ones(weight.shape, "float32"))
        optimizer = pretrain.make_optimizer(model, steps_per_epoch=1)
        # Without a gradient, only the decay moves a weight. The schedule's
        # first learning rate is 0.
        zeros = [keras.ops.zeros(w.shape) for w in weights]
        for _ in range(2):
            optimizer.apply(zeros, weights)
        decayed = {
            canonical_name(w.path)
            for w in weights
            if self.to_numpy(w).max() < 1
        }
        return {canonical_name(w.path) for w in weights}, decayed

    def theirs(self, layer_scale):
        from lightly.models import modules

        peer = torch.nn.ModuleDict(
            {
                "vit": timm.models.vision_transformer.VisionTransformer(
                    img_size=16,
                    patch_size=4,
                    embed_dim=HIDDEN_DIM,
                    depth=2,
                    num_heads=2,
                    global_pool="",
                    num_classes=0,
                    init_values=layer_scale,
                ),
                "embedding": torch.nn.Linear(HIDDEN_DIM, 12),
                "decoder": modules.MaskedVisionTransformerDecoderTIMM(
                    num_patches=16, embed_dim=12, depth=1, num_heads=2
                ),
                "prediction": torch.nn.Linear(12, 48),
            }
        )
        # Freezes its positions.
        modules.MaskedVisionTransformerTIMM(peer["vit"])
        decayed, not_decayed = (
            {id(parameter) for parameter in group}
            for group in utils.get_weight_decay_parameters([peer])
        )
        names = {
            name: id(parameter)
            for name, parameter in peer.named_parameters()
            if parameter.requires_grad
        }
        self.assertEqual(set(), decayed & not_decayed)
        self.assertLessEqual(set(names.values()), decayed | not_decayed)
        return set(names), {k for k, v in names.items() if v in decayed}

    def test_groups_of_mae(self):
        names, decayed = self.ours(layer_scale=None)
        peer_names, peer_decayed = self.theirs(layer_scale=None)
        self.assertEqual(names, peer_names)
        self.assertEqual(decayed, peer_decayed)
        self.assertLess({"vit.cls_token", "decoder.mask_token"}, decayed)
        self.assertNotIn("vit.patch_embed.proj.bias", decayed)

    def test_groups_differ_in_layer_scale_only(self):
        names, decayed = self.ours(layer_scale=0.1)
        peer_names, peer_decayed = self.theirs(layer_scale=0.1)
        self.assertEqual(names, peer_names)
        self.assertEqual(
            peer_decayed - decayed,
            {f"vit.blocks.{i}.ls{j}.gamma" for i in (0, 1) for j in (1, 2)},
        )
        self.assertEqual(decayed - peer_decayed, set())
