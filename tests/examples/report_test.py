import json

import pytest

from tests.examples.example_test_case import ExampleTestCase

pytest.importorskip("tensorflow")
pytest.importorskip("matplotlib")


class ReportTest(ExampleTestCase):
    @pytest.mark.tensorflow_only  # The same on every backend.
    def test_report_of_finished_runs(self):
        folder = self.temp_dir()
        tops = {"probe": 0.5, "probe_untrained": 0.25, "scratch": 0.375}
        for seed in range(2):
            tuned = {"finetune": 0.75, "last_0.5": 0.625}
            for name, top in {**tuned, **tops}.items():
                top = {"top1": top + seed / 8}
                run_folder = folder / f"seed{seed}" / name
                run_folder.mkdir(parents=True)
                content = {
                    **top,
                    "split": "test",
                    "probe": top,
                    "knn": {"10": top},
                    "logistic": {"0.1": {"images": 306, **top}},
                }
                (run_folder / "report.json").write_text(json.dumps(content))
                (run_folder / "config.json").write_text(
                    json.dumps({"flags": {"epochs": 20}})
                )
                (run_folder / "history.csv").write_text(
                    "epoch,accuracy,val_accuracy\n0,0.1,0.2\n1,0.3,0.4\n"
                )
            pretrain = folder / f"seed{seed}" / "pretrain"
            (pretrain / "encoder").mkdir(parents=True)
            (pretrain / "encoder" / "saved_model.pb").write_text("")
            (pretrain / "config.json").write_text('{"flags": {"epochs": 30}}')
            # Without validation.
            (pretrain / "history.csv").write_text("epoch,loss\n0,1\n1,0.9\n")
        output = self.example(
            "report.py",
            f"--output_dir={folder}",
            "--seeds=2",
            "--last_blocks=0.5",
            "--parallel=2",
        )
        page = (folder / "report.md").read_text()
        for row in (
            "| 10 nearest neighbours | 56.2 ± 8.8 | 31.2 ± 8.8 | 25.0 ± 0.0 |",
            "| logistic regression, 306 labels | 56.2 ± 8.8 | ",
            "| linear probe | 56.2 ± 8.8 | 31.2 ± 8.8 | 25.0 ± 0.0 |",
            "| fine-tuned whole, 20 epochs | 81.2 ± 8.8 | 43.8 ± 8.8 | 37.5 ",
            "| last blocks fine-tuned: 0.5 | 68.8 ± 8.8 | | |",
        ):
            self.assertIn(row, page)
            self.assertIn(row, output)
        self.assertIn("30 epochs of pre-training", page)
        self.assertIn("on the test split", page)
        self.assertIsPicture(folder / "report.png")
