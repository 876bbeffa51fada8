"""Classifiers against timm's and transformers', and their optimizer's steps."""

import keras
import numpy as np
import pytest

from keras_mim import converters
from keras_mim.converters.layouts import layout_of
from keras_mim.converters.to_torch import as_arrays
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2
from keras_mim.encoders import ViT
from keras_mim.optimizers import LayerwiseAdamW
from keras_mim.transfer import Classifier
from keras_mim.transfer import decayed_weights
from keras_mim.transfer import layer_scales
from tests.parity import timm_vit_test
from tests.parity.peers import randomise
from tests.parity.record import check
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
# torchvision, which timm imports, may be there and not import.
pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))

NUM_CLASSES = 5
SIZES = {"hidden_dim": 32, "num_heads": 4, "mlp_dim": 128}


class ClassifierTest(TestCase):
    def compare(self, load, peer, encoder, pooling, logits_of=None):
        """Fills a classifier from a peer's file; compares the logits."""
        model = Classifier(encoder, NUM_CLASSES, pooling)
        load(model, dict(peer.state_dict()))
        shape = 2, *encoder.image_shape
        images = np.random.default_rng(0).normal(size=shape).astype("float32")
        with torch.no_grad():
            output = peer(torch.tensor(images.transpose(0, 3, 1, 2)))
        theirs = logits_of(output) if logits_of else output
        name = f"{type(encoder).__name__} classifier, {pooling}"
        kind = f"{type(peer).__module__.split('.')[0]} {type(peer).__name__}"
        check(name, self.to_numpy(model(images)), theirs.numpy(), 1e-5, kind)
        return model

    def test_mae_with_both_poolings(self):
        for pooling, theirs in (("mean", "avg"), ("cls", "token")):
            peer = timm_vit_test.make_peer(global_pool=theirs)
            encoder = ViT((16, 16, 3), 4, num_layers=3, **SIZES)
            model = self.compare(converters.load_mae, peer, encoder, pooling)
            back = converters.to_torch_state_dict(model)
            peer.load_state_dict(back)  # All of it, and nothing else.

    def test_simmims_vit(self):
        from timm.models.beit import Beit

        peer = Beit(
            img_size=32,
            patch_size=8,
            embed_dim=32,
            depth=2,
            num_heads=4,
            num_classes=NUM_CLASSES,
            global_pool="avg",
            init_values=0.1,
            use_abs_pos_emb=False,
            use_rel_pos_bias=True,
        )
        encoder = ViT(
            (32, 32, 3),
            8,
            num_layers=2,
            positions="shared_relative",
            layer_scale=0.1,
            use_key_bias=False,
            **SIZES,
        )
        peer = randomise(peer.eval())
        self.compare(converters.load_simmim, peer, encoder, "mean")

    def test_swins(self):
        import timm

        transformers = pytest.importorskip("transformers")
        sizes = (32, 32, 3), 2, 16, (1, 2), (2, 4), 4
        common = {"num_classes": NUM_CLASSES, "window_size": 4}
        common |= {"img_size": 32, "patch_size": 2, "embed_dim": 16}
        common |= {"depths": (1, 2), "num_heads": (2, 4)}
        for cls, peer in (
            (Swin, timm.models.swin_transformer.SwinTransformer),
            (SwinV2, timm.models.swin_transformer_v2.SwinTransformerV2),
        ):
            peer = randomise(peer(**common).eval())
            self.compare(converters.load_swin, peer, cls(*sizes), "mean")
        config = transformers.SwinConfig(
            image_size=32,
            patch_size=2,
            embed_dim=16,
            depths=[1, 2],
            num_heads=[2, 4],
            window_size=4,
            num_labels=NUM_CLASSES,
        )
        peer = transformers.SwinForImageClassification(config).eval()
        self.compare(
            converters.load_swin,
            randomise(peer),
            Swin(*sizes),
            "mean",
            lambda output: output.logits,
        )

    def test_steps_equal_those_of_parameter_groups(self):
        peer = timm_vit_test.make_peer(global_pool="avg")
        encoder = ViT((16, 16, 3), 4, num_layers=3, **SIZES)
        model = Classifier(encoder, NUM_CLASSES)
        converters.load_mae(model, dict(peer.state_dict()))
        found = as_arrays(model, layout_of(model, "mae"))
        groups = []
        for name, parameter in peer.named_parameters():
            number = 4
            if name in ("cls_token", "pos_embed") or "patch_embed" in name:
                number = 0
            elif name.startswith("blocks"):
                number = int(name.split(".")[1]) + 1
            exempt = parameter.ndim == 1 or name in ("cls_token", "pos_embed")
            groups.append(
                {
                    "params": [parameter],
                    "lr": 1e-3 * 0.65 ** (4 - number),
                    "weight_decay": 0 if exempt else 0.05,
                }
            )
        theirs = torch.optim.AdamW(groups)
        ours = LayerwiseAdamW(
            1e-3,
            learning_rate_scales=layer_scales(model, 0.65),
            decayed=decayed_weights(model),
        )
        places = converters.layouts.MAE.entries(model)
        rng = np.random.default_rng(0)
        for _ in range(5):
            by_variable = {}
            for name, parameter in peer.named_parameters():
                # Away from zero, where the place of epsilon shows (which is
                # what adamw_test.py is about).
                size = rng.uniform(0.1, 1, parameter.shape)
                sign = rng.choice([-1, 1], parameter.shape)
                gradient = (sign * size).astype("float32")
                parameter.grad = torch.tensor(gradient)
                place = places[name]
                by_variable[id(place.variable)] = place.to_keras(gradient)
            theirs.step()
            ours.apply(
                [
                    keras.ops.convert_to_tensor(by_variable[id(v)])
                    for v in model.trainable_variables
                ],
                model.trainable_variables,
            )
        after = as_arrays(model, layout_of(model, "mae"))
        for name, parameter in peer.named_parameters():
            self.assertGreater(np.abs(after[name] - found[name]).max(), 0)
            wanted = parameter.detach().numpy()
            np.testing.assert_allclose(after[name], wanted, rtol=0, atol=1e-6)
            check(
                "AdamW by layers, 5 steps",
                after[name],
                wanted,
                1e-6,
                "torch.optim.AdamW",
            )
