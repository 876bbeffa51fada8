import os
from unittest import mock

import keras
import pytest

from tests.readme_test import run
from tests.test_case import TestCase

pytest.importorskip("tensorflow")

START = """
import numpy as np
import tensorflow as tf
from keras_mim.data import ImagePipeline
{before}
images = np.zeros((4, 8, 8, 3), "uint8")
for batch in ImagePipeline((8, 8, 3), 2).from_arrays(images):
    print(batch.shape)
print("threads", tf.config.threading.get_intra_op_parallelism_threads())
"""


class StartTensorflowTest(TestCase):
    def threads(self, before="", **environment):
        """Returns the setting of a process that has used a pipeline."""
        environment = {"CUDA_VISIBLE_DEVICES": "", **environment}
        with mock.patch.dict(os.environ, environment):
            result = run(["-c", START.format(before=before)])
        self.assertEqual(result.returncode, 0, result.stderr)
        return int(result.stdout.split()[-1])

    def test_one_thread_where_tensorflow_only_reads(self):
        trains = keras.backend.backend() == "tensorflow"
        self.assertEqual(self.threads(), 0 if trains else 1)

    def test_choices_stay(self):
        choose = "tf.config.threading.set_intra_op_parallelism_threads(3)"
        self.assertEqual(self.threads(choose), 3)
        self.assertEqual(self.threads(TF_NUM_INTRAOP_THREADS="2"), 0)
        # Too late to choose.
        self.assertEqual(self.threads("tf.constant(1) + 1"), 0)
