"""Every converter on every encoder, as pre-training and classifiers leave it.

Each either converts, and then comes back with the same weights, or
says in a ValueError what it has no place for.
"""

import keras
import numpy as np
import pytest

import keras_mim
from keras_mim import converters
from keras_mim.encoders import Swin
from keras_mim.encoders import SwinV2
from keras_mim.encoders import ViT
from keras_mim.transfer import Classifier
from keras_mim.transfer import LinearProbe
from tests.reference import randomise
from tests.test_case import TestCase

torch = pytest.importorskip("torch")

IMAGE_SHAPE = (8, 16, 3)
VITS = (
    {},
    {"positions": "learned", "use_class_token": False},
    {"layer_scale": 0.1, "use_class_token": False},
    {"positions": "learned", "use_key_bias": False, "layer_scale": 0.1},
    {"positions": "learned", "use_final_norm": False},
    {"positions": "relative", "use_class_token": False},
    {"positions": "shared_relative", "layer_scale": 0.1, "use_key_bias": False},
)
LOADERS = {
    "mae": converters.load_mae,
    "timm": converters.load_timm_vit,
    "hf": converters.load_hf_vit,
    "beit": converters.load_beit,
    "simmim": converters.load_simmim,
    "swin": converters.load_swin,
}


def make_encoders():
    for arguments in VITS:
        yield ViT(IMAGE_SHAPE, 4, 8, 1, 2, 16, **arguments)
    for swin in (Swin, SwinV2):
        yield swin(IMAGE_SHAPE, 2, 8, (1, 1), (1, 2), 2)


def models_of(encoder):
    """Yields an encoder and what is made of one."""
    yield encoder
    if isinstance(encoder, ViT) and "relative" not in encoder.positions:
        head = keras_mim.layers.MAEHead(8, 1, 2)
        masking = keras_mim.masking.RandomMasking(0.5)
        yield keras_mim.MAE(encoder, masking=masking, head=head)
    yield keras_mim.SimMIM(encoder, keras_mim.masking.RandomMasking(0.5))
    yield from classifiers_of(encoder)


def classifiers_of(encoder):
    yield Classifier(encoder, 3, pooling="mean")
    if encoder.num_prefix_tokens and encoder.norm:
        yield Classifier(encoder, 3, pooling="cls")


def layouts_of(model):
    """Returns the layouts that have a place for all of a model."""
    encoder = getattr(model, "encoder", model)
    if not isinstance(encoder, ViT):
        return {"swin", "timm", "hf", "simmim"}
    layouts = {"mae", "timm", "hf", "beit", "simmim"}
    if "relative" in encoder.positions or not encoder.use_key_bias:
        layouts -= {"mae", "timm", "hf"}
    if encoder.layer_scale is not None:
        layouts -= {"mae", "hf"}
    if isinstance(model, keras_mim.MAE):
        layouts -= {"beit", "simmim"}
    if isinstance(model, keras_mim.SimMIM):
        layouts -= {"mae"}
    if getattr(model, "norm", None) and isinstance(model, Classifier):
        layouts -= {"hf"}
    return layouts


class EveryEncoderTest(TestCase):
    def test_checkpoints(self):
        turn = 0
        for encoder in make_encoders():
            for model in models_of(encoder):
                randomise(model)
                places = sorted(layouts_of(model))
                for layout in places:
                    name = type(model).__name__
                    with self.subTest(model=name, layout=layout):
                        state = self.convert_and_load(model, layout)
                        # Building takes longest: of what is made of an
                        # encoder, one layout each.
                        turn += 1
                        if model is encoder or turn % len(places) == 0:
                            self.build(model, state)
                message = "no place for|must be one of"
                for layout in LOADERS.keys() - places:
                    with self.assertRaisesRegex(ValueError, message):
                        converters.to_torch_state_dict(model, layout)

    def convert_and_load(self, model, layout):
        state = converters.to_torch_state_dict(model, layout)
        plain = isinstance(getattr(model, "encoder", model), ViT)
        load = LOADERS[layout] if plain else converters.load_swin
        before = [self.to_numpy(w).copy() for w in model.trainable_weights]
        randomise(model, seed=1)
        load(model, state)
        for weight, value in zip(model.trainable_weights, before):
            self.assertAllEqual(weight, value)
        return state

    def build(self, model, state):
        encoder = getattr(model, "encoder", model)
        again = converters.from_checkpoint(
            state,
            IMAGE_SHAPE,
            num_heads=2,
            decoder_num_heads=2,
            grid=encoder.grid,
            window_size=getattr(encoder, "window_size", None),
        )
        if isinstance(model, Classifier):  # Its file gives the encoder.
            model = encoder
        self.assertIs(type(again), type(model))
        for weight, other in zip(again.weights, model.weights, strict=True):
            if "seed" not in weight.path:
                self.assertAllEqual(weight, other)
        config = getattr(again, "encoder", again).get_config()
        for name, value in encoder.get_config().items():
            if name in ("positions", "use_key_bias", "use_final_norm"):
                self.assertEqual(config[name], value)

    def test_loaders_of_other_encoders(self):
        state = {"norm.weight": np.ones(8, "float32")}
        for encoder in (*list(make_encoders())[::7], torch.nn.Identity()):
            for load in LOADERS.values():
                message = "lacks .* weights|These checkpoints are known of"
                message += "|`model` must be a `keras.Model`"
                with self.assertRaisesRegex(ValueError, message):
                    load(encoder, state)

    def test_other_classes(self):

        probe = LinearProbe(next(make_encoders()), 3)
        with self.assertRaisesRegex(ValueError, "pass its `encoder`.*Probe"):
            converters.to_torch_state_dict(probe)
        encoder = keras.Sequential([keras.layers.Dense(2)])
        for convert in (
            lambda: converters.to_torch_state_dict(encoder),
            lambda: converters.load_mae(encoder, {}),
            lambda: converters.load_simmim(encoder, {}),
        ):
            with self.assertRaisesRegex(
                ValueError, "keras_mim.encoders.*ViT.*Received: Sequential"
            ):
                convert()

    @pytest.mark.filterwarnings("ignore:Layer '.*' looks like it has unbuilt")
    @pytest.mark.filterwarnings("ignore:`build.*` was called on layer")
    def test_keras_hub(self):
        pytest.importorskip("keras_hub")
        for whole in make_encoders():
            for model in (whole, *classifiers_of(whole)):
                encoder = getattr(model, "encoder", model)
                if model is not encoder:
                    with self.assertRaisesRegex(ValueError, "model.encoder"):
                        converters.to_keras_hub(model)
                held = type(encoder) is Swin or (
                    "hf" in layouts_of(encoder)
                    and getattr(encoder, "use_final_norm", False)
                )
                with self.subTest(encoder.get_config(), held=held):
                    if held:
                        self.convert_to_keras_hub(encoder)
                        continue
                    message = "can only hold an|class SwinV2"
                    with self.assertRaisesRegex(ValueError, message):
                        converters.to_keras_hub(encoder)

    def convert_to_keras_hub(self, encoder):
        randomise(encoder)
        backbone = converters.to_keras_hub(encoder)
        again = converters.from_keras_hub(backbone)
        for weight, other in zip(again.weights, encoder.weights, strict=True):
            self.assertAllEqual(weight, other)
