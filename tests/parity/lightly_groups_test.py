"""Drop-path rates and weight-decay groups against timm's and lightly's."""

import re

import keras
import numpy as np
import pytest

from keras_mim import MAE
from keras_mim import layers
from keras_mim.encoders import ViT
from tests.parity.record import check
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
utils = pytest.importorskip("lightly.models.utils")

PEER = f"lightly {pytest.importorskip('lightly').__version__}"
HIDDEN_DIM = 8


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
                layer.rate
                for layer in (block.attention_drop_path, block.mlp_drop_path)
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
        import pretrain

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
