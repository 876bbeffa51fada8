import os
import pathlib
import subprocess
import sys
import unittest

import keras
import pytest

from keras_mim.ops import require

WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None
sys.modules["tensorflow_datasets"] = None
import keras_mim.data
pipeline = keras_mim.data.ImagePipeline((8, 8, 3), 2)
try:
    pipeline.from_folder(".")
except ImportError as error:
    print(error)
"""


class RequirementsTest(unittest.TestCase):
    @pytest.mark.skipif(
        keras.backend.backend() == "tensorflow",
        reason="the TensorFlow backend needs TensorFlow",
    )
    def test_without_tensorflow_it_imports_and_names_the_extra(self):
        result = subprocess.run(
            [sys.executable, "-c", WITHOUT_TENSORFLOW],
            capture_output=True,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
            env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn('pip install "keras-mim[data]"', result.stdout)
        self.assertIn("needs tensorflow", result.stdout)

    def test_a_module_inside_a_missing_package(self):
        message = r'needs no_such_package, .*"keras-mim\[viz\]"'
        with self.assertRaisesRegex(ImportError, message):
            require("no_such_package.part", "viz")

    def test_a_package_that_lacks_one_of_its_own_parts(self):
        with self.assertRaisesRegex(ImportError, "No module named 'json.part'"):
            require("json.part.of_it", "viz")
