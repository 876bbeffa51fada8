import keras
import numpy as np

from keras_mim import MAE
from keras_mim import SimMIM
from keras_mim.encoders import ViT
from keras_mim.layers import MAEHead
from keras_mim.masking import RandomMasking
from tests import tiny
from tests.test_case import TestCase


def photos():
    # Half of the pixels: a quarter of the time.
    images = tiny.clothing(384)[:, ::2, ::2]
    return images[:320], images[320:]


class LearningTest(TestCase):
    def fit(self, model):
        """Returns the loss on held-out photos before and after training."""
        train, held_out = photos()
        model.compile(keras.optimizers.AdamW(3e-3))
        before = model.evaluate(held_out, verbose=0)
        model.fit(train, batch_size=32, epochs=10, verbose=0)
        return before, model.evaluate(held_out, verbose=0)

    def test_mae_predicts_held_out_photos_better_than_patch_means(self):
        model = MAE(
            ViT((32, 32, 3), 4, 64, 2, 4, 256),
            masking=RandomMasking(0.75, seed=0),
            head=MAEHead(hidden_dim=64, num_layers=1, num_heads=4),
        )
        before, after = self.fit(model)
        target = self.to_numpy(model.target(photos()[1]))
        mean = target.mean(axis=-1, keepdims=True)
        baseline = np.square(target - mean).mean()
        self.assertGreater(before, baseline)
        self.assertLess(after, 0.87 * baseline)  # Seen: 0.81.

    def test_simmim_predicts_held_out_photos_better_than_one_colour(self):
        model = SimMIM(
            ViT((32, 32, 3), 4, 64, 2, 4, 256),
            masking=RandomMasking(0.6, mask_patch_size=8, seed=0),
        )
        before, after = self.fit(model)
        _, held_out = photos()
        error = np.abs(held_out - held_out.mean(axis=(0, 1, 2))).mean()
        self.assertGreater(before, error)
        self.assertLess(after, 0.8 * error)  # Seen: 0.74.
