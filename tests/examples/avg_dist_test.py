import pytest

from tests.examples.example_test_case import ExampleTestCase

pytest.importorskip("tensorflow")
pytest.importorskip("matplotlib")


class AvgDistTest(ExampleTestCase):
    @pytest.mark.tensorflow_only  # Slow, and the same on every backend.
    def test_avg_dist(self):
        path = self.temp_dir() / "pictures/avg_dist.png"
        output = self.example(
            "avg_dist.py",
            "--image_size=64",
            "--num_masks=2",
            f"--output={path}",
        )
        values = {
            line[:18].strip(): [float(v) for v in line[18:].split()]
            for line in output.splitlines()
            if " px  " in line or line.startswith("square")
        }
        self.assertGreater(
            values["random, 16 px"][4], values["random, 4 px"][4]
        )
        self.assertGreater(values["square"][4], values["random, 16 px"][4])
        self.assertIsPicture(path)
