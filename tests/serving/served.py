"""Looking at a SavedModel from a process that has TensorFlow alone."""

import io
import os
import subprocess
import sys

import numpy as np

from tests.test_case import TestCase

# Runs in a process where Keras and keras_mim cannot be imported.
SERVE = """
import sys
sys.modules["keras"] = sys.modules["keras_mim"] = None
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
data = np.load(sys.argv[2], allow_pickle=True)
results = {}
for key, images in data.items():
    name = key.rsplit("-", 1)[0]
    if name == "encoded_images":
        images = tf.constant(list(images))
    inputs = {} if name == "class_names" else {"images": images}
    for output, value in model.signatures[name](**inputs).items():
        results[key + "-" + output] = value.numpy()
np.savez(sys.argv[3], **results)
"""


def jpeg(image):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95)
    return file.getvalue()


class ServedTestCase(TestCase):
    def serve(self, path, inputs):
        folder = self.temp_dir()
        np.savez(
            folder / "in.npz",
            **{
                k: np.array(v, object) if isinstance(v, list) else v
                for k, v in inputs.items()
            },
        )
        run = subprocess.run(
            [
                sys.executable,
                "-c",
                SERVE,
                str(path),
                str(folder / "in.npz"),
                str(folder / "out.npz"),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        # Strings are objects.
        return dict(np.load(folder / "out.npz", allow_pickle=True))
