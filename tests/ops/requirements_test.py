import os
import pathlib
import subprocess
import sys
import unittest

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
    def test_without_tensorflow_it_imports_and_names_the_extra(self):
        result = subprocess.run(
            [sys.executable, "-c", WITHOUT_TENSORFLOW],
            capture_output=True,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
            # Keras's own backend must not be the one that is missing.
            env={**os.environ, "KERAS_BACKEND": "numpy"},
            check=False,
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn('pip install "keras-mim[data]"', result.stdout)
        self.assertIn("needs tensorflow", result.stdout)
