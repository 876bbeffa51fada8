import functools

import keras
import numpy as np

from keras_mim.converters.layouts import layout_of
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2
from keras_mim.transfer import Classifier
from keras_mim.transfer import decayed_weights
from keras_mim.transfer import layer_ids
from keras_mim.transfer import layer_scales
from tests import tiny
from tests.test_case import TestCase

SWIN_B_DEPTHS = (2, 2, 18, 2)


def vit_id(name, num_layers):
    """The rule of MAE and SimMIM, by their names of weights."""
    if name in ("cls_token", "pos_embed") or name.startswith("patch_embed"):
        return 0
    if name.startswith("blocks"):
        return int(name.split(".")[1]) + 1
    return num_layers + 1


def swin_id(name, depths):
    """SimMIM's, by Microsoft's names."""
    if name.startswith("patch_embed"):
        return 0
    if not name.startswith("layers"):
        return sum(depths) + 1
    _, stage, kind, *rest = name.split(".")
    if kind == "downsample":
        return sum(depths[: int(stage) + 1])
    return sum(depths[: int(stage)]) + int(rest[0]) + 1


def decays(name, shape):
    """MAE's and SimMIM's, by name."""
    kept = "relative_position_bias_table", "cpb_mlp", "logit_scale"
    swin = name.startswith("layers") and any(key in name for key in kept)
    exempt = name in ("cls_token", "pos_embed") or swin
    return not (len(shape) == 1 or name.endswith(".bias") or exempt)


vit = functools.partial(tiny.vit, (8, 8, 3), num_layers=12)


class LayerDecayTest(TestCase):
    def compare(self, encoder, layout, rule):
        """Every weight of a classifier, by its published name."""
        model = Classifier(encoder, 3)
        names = {}
        encoder = model.encoder
        places = layout_of(encoder, layout).entries(encoder)
        for name, entry in places.items():
            names.setdefault(id(entry.variable), []).append((name, entry.shape))
        ids = layer_ids(model)
        decayed = decayed_weights(model)
        self.assertEqual(len(ids), len(model.trainable_weights))
        found = 0
        for w, own, decay in zip(model.trainable_weights, ids, decayed):
            for name, shape in names.get(id(w), [("head", w.shape)]):
                self.assertEqual(own, rule(name), name)
                if name != "head":
                    self.assertEqual(decay, decays(name, shape), name)
                    found += 1
        self.assertEqual(found, sum(map(len, names.values())))
        return model, ids

    def test_mae_vit_base(self):
        model, ids = self.compare(vit(), "mae", lambda n: vit_id(n, 12))
        scales = layer_scales(model, 0.65)
        # 0.65 ** 13, MAE's for the embeddings.
        self.assertAllClose(min(scales), 0.003697, rtol=1e-4)
        self.assertEqual(max(scales), 1)
        self.assertAllClose(scales, 0.65 ** (13 - np.array(ids)))

    def test_simmim_vit_base(self):
        encoder = vit(
            positions="shared_relative", layer_scale=0.1, use_key_bias=False
        )
        model, _ = self.compare(encoder, "beit", lambda n: vit_id(n, 12))
        self.assertEqual(model.encoder.positions, "relative")

    def test_swin_base(self):
        for kind in (Swin, SwinV2):
            encoder = kind((32, 32, 3), 4, 8, SWIN_B_DEPTHS, (1, 2, 2, 4), 4)
            model, _ = self.compare(
                encoder, "swin", lambda n: swin_id(n, SWIN_B_DEPTHS)
            )
            self.assertAllClose(min(layer_scales(model, 0.9)), 0.9**25)

    def test_published_scales_of_mae_large_and_huge(self):
        for depth, first in ((24, 0.000753), (32, 0.0000753)):
            encoder = vit(num_layers=depth)
            scales = layer_scales(Classifier(encoder, 3), 0.75)
            self.assertAllClose(min(scales), first, rtol=1e-3, atol=0)

    def test_frozen_weights_are_left_out(self):
        model = Classifier(vit(), 3)
        for layer in (model.encoder.patch_embedding, *model.encoder.blocks[:6]):
            layer.trainable = False
        ids = layer_ids(model)
        self.assertEqual(len(ids), len(model.trainable_weights))
        self.assertEqual(set(ids), {0, *range(7, 14)})
        self.assertEqual(len(decayed_weights(model)), len(ids))

    def test_a_model_of_ones_own_around_an_encoder(self):
        expected = Classifier(vit(), 3, pooling="cls")
        encoder = expected.encoder
        images = keras.Input(encoder.image_shape)
        head = keras.layers.Dense(3)
        model = keras.Model(images, head(encoder(images)[:, 0]))
        self.assertEqual(layer_scales(model, 0.5), layer_scales(expected, 0.5))
        self.assertEqual(decayed_weights(model), decayed_weights(expected))

    def test_a_model_without_an_encoder_in_it(self):
        encoder = vit()
        tokens = keras.layers.GlobalAveragePooling1D()(encoder.output)
        # Its layers are the encoder's own, not the encoder.
        model = keras.Model(encoder.input, keras.layers.Dense(3)(tokens))
        for use in (layer_ids, decayed_weights):
            for wrong in (model, encoder.blocks[0], None):
                with self.assertRaisesRegex(ValueError, "one encoder in it"):
                    use(wrong)

    def test_wrong_decay(self):
        model = Classifier(vit(), 3)
        for decay in (0, 1.1):
            with self.assertRaisesRegex(ValueError, f"layer_decay={decay}"):
                layer_scales(model, decay)
        keras.utils.clear_session()
