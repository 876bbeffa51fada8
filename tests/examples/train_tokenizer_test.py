import keras
import numpy as np
import pytest

from keras_mim.ops import patchify
from tests.examples.example_test_case import ExampleTestCase

pytest.importorskip("tensorflow")
pytest.importorskip("matplotlib")


class TrainTokenizerTest(ExampleTestCase):
    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_a_tokens_patch_is_the_nearest_mean(self):
        pytest.importorskip("sklearn")
        folder = self.temp_dir()
        output = self.example(
            "train_tokenizer.py",
            *"--data=photos --image_size=32 --num_tokens=20".split(),
            f"--output_dir={folder}/tokenizer",
        )
        self.assertRegex(output, r"\d+ of 20 tokens in 28 photos")
        tokenizer = keras.saving.load_model(
            folder / "tokenizer/tokenizer.keras"
        )
        kernel, _ = tokenizer.get_weights()
        means = kernel.reshape(8 * 8 * 3, 20).T / 2
        images = np.random.default_rng(0).random((2, 16, 24, 3), "float32")
        patches = self.to_numpy(patchify(images, 8))
        distances = np.square(patches[:, :, None] - means).sum(axis=-1)
        self.assertGreater(len(np.unique(means.round(3), axis=0)), 15)
        self.assertAllEqual(
            self.to_numpy(tokenizer(images)).argmax(axis=-1).reshape(2, -1),
            distances.argmin(axis=-1),
        )
        self.assertIsPicture(folder / "tokenizer/reconstructions.png")
