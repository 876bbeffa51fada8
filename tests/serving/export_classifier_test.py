import numpy as np
import pytest

from keras_mim import Normalization
from keras_mim.serving import export_classifier
from keras_mim.transfer import Classifier
from tests import tiny
from tests.serving.served import ServedTestCase
from tests.serving.served import jpeg

pytest.importorskip("tensorflow")
pytest.importorskip("PIL.Image")

NAMES = ["cap", "hat", "été"]
MEAN, STD = np.array([[0.5, 0.4, 0.3], [0.2, 0.3, 0.25]], "float32")


def tiny_classifier(class_names=None):
    # Logits that differ, so that the best one is not a matter of rounding.
    encoder = tiny.vit(
        (16, 24, 3), patch_size=8, normalization=Normalization(MEAN, STD)
    )
    return Classifier(encoder, 3, None, 0.5, 1.0, class_names)


class ExportClassifierTest(ServedTestCase):
    def test_pixels_and_files_get_the_name_of_their_best_class(self):
        # Whose own names are the default.
        model = tiny_classifier(NAMES)
        path = self.temp_dir() / "served"
        export_classifier(model, path, crop_ratio=1.0)
        rng = np.random.default_rng(0)
        # Of every brightness and color, so that they differ in their classes.
        color = rng.uniform(0, 255, (8, 1, 1, 3))
        pixels = rng.normal(color, 20, (8, 16, 24, 3)).clip(0, 255)
        pixels = pixels.astype("uint8")
        files = [jpeg(image) for image in pixels]
        results = self.serve(
            path,
            {
                "uint8_images-8": pixels,
                "serving_default-8": pixels.astype("float32"),
                "encoded_images-8": files,
                "encoded_images-damaged": [*files[:3], files[3][:-99], b""],
                "encoded_images-all_damaged": [b"no image"],
                "class_names": np.zeros(0),
            },
        )
        logits = self.to_numpy(model((pixels / np.float32(255) - MEAN) / STD))
        expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        self.assertGreater(len(set(logits.argmax(axis=-1))), 1)
        for key in ("uint8_images-8", "serving_default-8"):
            self.assertAllClose(
                results[f"{key}-probabilities"], expected, 1e-5, 1e-5
            )
            names = [n.decode() for n in results[f"{key}-class_name"]]
            self.assertEqual(names, [NAMES[i] for i in logits.argmax(axis=-1)])
        names = [n.decode() for n in results["class_names-class_names"]]
        self.assertEqual(names, NAMES)
        shares = results["encoded_images-8-probabilities"]
        self.assertAllClose(shares.sum(axis=-1), np.ones(8), 1e-5, 1e-5)
        names = [n.decode() for n in results["encoded_images-8-class_name"]]
        self.assertEqual(names, [NAMES[i] for i in shares.argmax(axis=-1)])

        self.assertTrue(results["encoded_images-8-valid"].all())
        # A file that cannot be read does not keep the others from an answer.
        damaged = "encoded_images-damaged"
        valid = [True, True, True, False, False]
        self.assertEqual(results[f"{damaged}-valid"].tolist(), valid)
        found = results[f"{damaged}-probabilities"]
        self.assertAllClose(found[:3], shares[:3], 1e-6, 1e-6)
        self.assertAllEqual(found[3:], np.zeros((2, 3)))
        names = [n.decode() for n in results[f"{damaged}-class_name"]]
        self.assertTrue(all(names[:3]))
        self.assertEqual(names[3:], ["", ""])
        valid = results["encoded_images-all_damaged-valid"]
        self.assertEqual(valid.tolist(), [False])

    def test_names_that_are_too_few(self):
        with self.assertRaisesRegex(ValueError, "3 classes. Received: 2 names"):
            export_classifier(tiny_classifier(), self.temp_dir(), ["a", "b"])
        with self.assertRaisesRegex(ValueError, "must be given"):
            export_classifier(tiny_classifier(), self.temp_dir())
