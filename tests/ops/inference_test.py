import contextlib

import keras
import numpy as np
import pytest

from keras_mim.callbacks import OnlineProbe
from keras_mim.targets import EMATarget
from keras_mim.targets import FeatureTarget
from keras_mim.targets import PCATarget
from keras_mim.targets import PixelTarget
from keras_mim.targets import TokenTarget
from keras_mim.transfer import LinearProbe
from keras_mim.transfer import extract_features
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(4)
LABELS = np.array([0, 1, 0, 1])
MASKED = np.arange(6) < 3


@contextlib.contextmanager
def saved_tensors():
    """Counts what torch keeps for a backward pass."""
    import torch

    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks(saved.append, id)
    with hooks:
        yield saved


@pytest.mark.torch_only  # Others record gradients only when they are asked to.
class NoGradientTest(TestCase):
    def kept(self, use):
        with saved_tensors() as saved:
            use()
        return len(saved)

    def test_looking_at_a_model_keeps_nothing(self):
        model = tiny.mae()
        model.compile("sgd")
        encoder = model.encoder
        probe = LinearProbe(encoder, 2)
        uses = [
            lambda: model.predict_patches(IMAGES, MASKED),
            lambda: model.reconstruct(IMAGES),
            lambda: model.draw_masks(IMAGES),
            lambda: model.evaluate(IMAGES, verbose=0),
            lambda: extract_features(encoder, [(IMAGES, LABELS)]),
            lambda: extract_features(probe.features, [(IMAGES, LABELS)]),
            lambda: probe.features(IMAGES),
            probe.folded,
        ]
        if pytest.importorskip("sklearn"):
            pair = IMAGES, LABELS
            uses.append(lambda: OnlineProbe(pair, pair).accuracy(encoder))
            uses.append(
                lambda: PCATarget.fit(IMAGES, patch_size=4, num_components=2)
            )
        for i, use in enumerate(uses):
            self.assertEqual(self.kept(use), 0, i)

    def test_gradients_flow_where_a_user_calls(self):
        encoder = tiny.vit()
        self.assertGreater(self.kept(lambda: encoder(IMAGES)), 0)
        self.assertGreater(
            self.kept(lambda: encoder.feature_maps(IMAGES, (0,))), 0
        )

    def test_targets_keep_nothing_in_training(self):
        tokenizer = keras.Sequential(
            [keras.Input((8, 12, 3)), keras.layers.Conv2D(2, 4, 4)]
        )
        for target in (
            PixelTarget(normalize=True),
            FeatureTarget(tiny.vit()),
            TokenTarget(tokenizer),
            EMATarget(0.5, 1),
        ):
            tiny.simmim(target=target)
            arguments = {}
            if isinstance(target, EMATarget):
                arguments["training"] = True
            kept = self.kept(lambda: target(IMAGES, **arguments))
            self.assertEqual(kept, 0, target)
