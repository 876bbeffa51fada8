import keras

import keras_mim
from tests import tiny
from tests.test_case import TestCase


class SimMIMOnSwinTest(TestCase):
    def test_mae_is_no_method_for_it(self):
        with self.assertRaisesRegex(ValueError, "Use SimMIM for others"):
            tiny.mae(tiny.swin())

    def test_training_and_reconstructing(self):
        encoder = tiny.swin((64, 96, 3), patch_size=4, window_size=4)
        simmim = keras_mim.SimMIM(encoder)
        images = tiny.images(4, (64, 96, 3))
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
