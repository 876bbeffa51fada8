import keras
import numpy as np

import keras_mim
from tests.test_case import TestCase


class SimMIMOnSwinTest(TestCase):
    def test_mae_is_no_method_for_it(self):
        encoder = keras_mim.encoders.Swin((64, 64, 3), 4, 8, (1,), (2,))
        with self.assertRaisesRegex(ValueError, "Use SimMIM for others"):
            keras_mim.MAE(encoder)

    def test_training_and_reconstructing(self):
        encoder = keras_mim.encoders.Swin(
            (64, 96, 3), 4, 8, (1, 1), (2, 4), window_size=4
        )
        simmim = keras_mim.SimMIM(encoder)
        rng = np.random.default_rng(0)
        images = rng.normal(size=(4, 64, 96, 3)).astype("float32")
        simmim.compile("adam")
        history = simmim.fit(images, epochs=2, batch_size=4, verbose=0)
        losses = history.history["loss"]
        self.assertLess(losses[1], losses[0])
        result = simmim.reconstruct(images)
        self.assertEqual(result["pasted"].shape, images.shape)
        path = self.temp_dir() / "simmim.keras"
        simmim.save(path)
        again = keras.saving.load_model(path)
        masked = result["masked"]
        self.assertAllClose(
            again.predict_patches(images, masked),
            simmim.predict_patches(images, masked),
        )
