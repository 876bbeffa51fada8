import keras
import numpy as np

from keras_mim import SimMIM
from keras_mim.layers import MAEHead
from keras_mim.layers import SimMIMHead
from keras_mim.masking import RandomMasking
from keras_mim.targets import FeatureTarget
from keras_mim.targets import PCATarget
from keras_mim.targets import PixelTarget
from tests import reference
from tests import tiny
from tests.test_case import TestCase

IMAGES = tiny.images(4)
MASKED = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0]] * 2, bool)


class SimMIMTest(TestCase):
    def test_defaults_are_the_papers(self):
        simmim = SimMIM(tiny.vit((64, 64, 3), 16))
        self.assertEqual(simmim.masking.mask_ratio, 0.6)
        self.assertEqual(simmim.masking.mask_patch_size, 32)
        self.assertFalse(simmim.target.normalize)
        self.assertIsInstance(simmim.head, SimMIMHead)
        self.assertEqual(simmim.default_loss.name, "mean_absolute_error")

    def check_paper(self, model, paper):
        reference.randomise(model)
        self.assertAllClose(
            model.predict_patches(IMAGES, MASKED),
            paper(model, IMAGES, MASKED),
            1e-5,
            1e-5,
        )

    def test_equals_the_paper_in_numpy(self):
        self.check_paper(tiny.simmim(), reference.simmim)

    def test_with_maes_parts_it_is_maes_encoder_with_mask_tokens(self):
        model = tiny.simmim(
            head=MAEHead(hidden_dim=16, num_layers=1, num_heads=2),
            target=PixelTarget(normalize=True),
        )
        self.check_paper(model, reference.mae_with_mask_tokens)

    def test_features_and_coefficients_have_their_papers_squared_error(self):
        components = np.eye(2, 48, dtype="float32")
        for target in (
            FeatureTarget(tiny.vit()),
            PCATarget(components, np.zeros(48, "float32")),
        ):
            model = tiny.simmim(target=target, masking=RandomMasking(0.6))
            model.compile()
            inputs = {"images": IMAGES, "masked": MASKED}
            output = model.predict(inputs, verbose=0)
            error = np.square(output["prediction"] - output["target"])
            loss = model.evaluate(inputs, verbose=0)
            self.assertAllClose(loss, error[MASKED].mean(), 1e-5, 1e-5)
            # Unless `compile` says otherwise.
            model.compile(loss="mae")
            error = np.abs(output["prediction"] - output["target"])
            loss = model.evaluate(inputs, verbose=0)
            self.assertAllClose(loss, error[MASKED].mean(), 1e-5, 1e-5)

    def test_training_and_reconstructing(self):
        encoder = tiny.swin((64, 96, 3), patch_size=4, window_size=4)
        simmim = SimMIM(encoder)
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
