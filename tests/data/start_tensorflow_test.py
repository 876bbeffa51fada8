import os
import re
from unittest import mock

import keras
import pytest

from tests.readme_test import run
from tests.test_case import TestCase

pytest.importorskip("tensorflow")

# Imports, which take longest, and forks for each thing to do beforehand.
START = """
import os
import sys
import numpy as np
import tensorflow as tf
from keras_mim.data import ImagePipeline
for before in sys.argv[1:]:
    if os.fork():
        status = os.waitstatus_to_exitcode(os.wait()[1])
        assert status == 0, status
        continue
    exec(before)
    images = np.zeros((4, 8, 8, 3), "uint8")
    for batch in ImagePipeline((8, 8, 3), 2).from_arrays(images):
        print(batch.shape)
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    print("threads", threads, flush=True)
    os._exit(0)
"""


class StartTensorflowTest(TestCase):
    def test_one_thread_where_tensorflow_only_reads_and_nobody_chose(self):
        trains = keras.backend.backend() == "tensorflow"
        cases = {
            "": 0 if trains else 1,
            "tf.config.threading.set_intra_op_parallelism_threads(3)": 3,
            "os.environ['TF_NUM_INTRAOP_THREADS'] = '2'": 0,
            # Too late to choose.
            "tf.constant(1) + 1": 0,
        }
        with mock.patch.dict(os.environ, {"CUDA_VISIBLE_DEVICES": ""}):
            result = run(["-c", START, *cases])
        self.assertEqual(result.returncode, 0, result.stderr)
        found = [int(n) for n in re.findall(r"threads (\d+)", result.stdout)]
        self.assertEqual(found, list(cases.values()))
