import pytest

from tests.distribution.processes import cluster
from tests.distribution.processes import results_of
from tests.test_case import ROOT
from tests.test_case import TestCase

RUN = ROOT / "tests/distribution/training_run.py"
EIGHT = {
    "XLA_FLAGS": "--xla_force_host_platform_device_count=8 "
    "--xla_backend_optimization_level=0"
}


class TrainingTest(TestCase):
    """Twenty steps in real processes: the losses of one device."""

    def assertSameLosses(self, results, expected):
        self.assertEqual(len(results["losses"]), 20)
        # They learn: it is not one loss twenty times.
        self.assertLess(expected["losses"][-1], expected["losses"][0] - 0.01)
        # Losses are about 1, and sums over devices are rounded otherwise:
        # 1e-6 at most in the runs seen.
        self.assertAllClose(results["losses"], expected["losses"], 0, 1e-5)

    @pytest.mark.jax_only
    def test_eight_devices(self):
        layouts = {
            "mae": ["data", "sharded", "1x8", "2x4"],
            # Its own masks, drawn for all devices together.
            "own": ["data"],
            "simmim": ["data", "sharded"],
        }
        runs = [
            f"{task}:{layout}"
            for task, names in layouts.items()
            for layout in ["single", *names]
        ]
        (results,) = results_of([RUN, *runs], [EIGHT])
        for run in runs:
            task, layout = run.split(":")
            with self.subTest(run):
                self.assertSameLosses(results[run], results[f"{task}:single"])
                parts = {"sharded": 8, "1x8": 8, "2x4": 4}.get(layout, 1)
                self.assertShared(results[run]["bytes"], parts)

    def assertShared(self, sizes, parts):
        """Checks what weights and moments occupy on one device."""
        for name, (whole, own) in sizes.items():
            if "kernel" in name:
                self.assertEqual(whole, parts * own, name)
        whole, own = map(sum, zip(*sizes.values(), strict=True))
        # What is on every device is 3 % of these tiny models.
        self.assertLess(own, whole * (1 / parts + 0.03))

    @pytest.mark.jax_only
    def test_two_jax_processes(self):
        runs = ["mae:data", "own:data", "mae:sharded"]
        (single,) = results_of([RUN, "mae:single", "own:single"])
        for results in results_of([RUN, *runs], cluster()):
            for run in runs:
                expected = single[f"{run.split(':')[0]}:single"]
                self.assertSameLosses(results[run], expected)
            self.assertShared(results["mae:sharded"]["bytes"], 2)

    @pytest.mark.tensorflow_only
    def test_two_tensorflow_devices_and_workers(self):
        (single,) = results_of([RUN, "grid:mirrored", "grid:single"])
        workers = results_of([RUN, "grid:workers"], cluster())
        found = [single["grid:mirrored"], *(w["grid:workers"] for w in workers)]
        for losses in found:
            self.assertSameLosses(losses, single["grid:single"])

    @pytest.mark.torch_only
    def test_two_torch_processes(self):
        (single,) = results_of([RUN, "mae:single"])
        for results in results_of([RUN, "mae:ddp"], cluster()):
            self.assertSameLosses(results["mae:ddp"], single["mae:single"])
            # Under the same masks in both epochs.
            self.assertEqual(*results["mae:ddp"]["validation"])
