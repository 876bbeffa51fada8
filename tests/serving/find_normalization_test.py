import keras

from keras_mim import Normalization
from keras_mim.serving._normalization import find_normalization
from keras_mim.transfer import Classifier
from keras_mim.transfer import LinearProbe
from tests import tiny
from tests.test_case import TestCase

OTHER = Normalization((0.1, 0.2, 0.3), (0.2, 0.3, 0.4))


class FindNormalizationTest(TestCase):
    def test_is_that_of_the_encoder_inside(self):
        encoder = tiny.vit(normalization=OTHER)
        probe = LinearProbe(encoder, 3)
        path = self.temp_dir() / "folded.keras"
        probe.folded().save(path)
        images = keras.Input(encoder.image_shape)
        around = keras.Model(images, keras.layers.Flatten()(encoder(images)))
        for model in (
            encoder,
            Classifier(encoder, 3),
            probe,
            probe.folded(),
            keras.saving.load_model(path),
            around,
        ):
            self.assertEqual(find_normalization(model), OTHER)
            self.assertEqual(find_normalization(model, OTHER), OTHER)
            with self.assertRaisesRegex(ValueError, "the encoder in the model"):
                find_normalization(model, Normalization.for_channels(3))

    def test_of_a_model_without_an_encoder_is_what_is_given(self):
        model = keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Flatten()]
        )
        self.assertEqual(find_normalization(model, OTHER), OTHER)
        default = Normalization.for_channels(3)
        self.assertEqual(find_normalization(model), default)
        with self.assertRaisesRegex(ValueError, "expected 3. Received"):
            find_normalization(model, Normalization.for_channels(1))
