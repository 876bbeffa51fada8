import json
import math
import re

import pytest

from tests.examples.example_test_case import ExampleTestCase
from tests.test_case import ROOT

pytest.importorskip("tensorflow")
pytest.importorskip("matplotlib")
FOLDER = ROOT / "examples/recipes"
# Every recipe names, in its first lines, the example that it is for.
EXAMPLES = {
    path.stem: re.search(r"examples/(\w+\.py)", path.read_text()).group(1)
    for path in sorted(FOLDER.glob("*.txt"))
}
# In place of an example: its flags, and its rates at some epochs of 625 steps.
PARSE = """
import importlib, json, os
from absl import flags
from support import training
importlib.import_module(os.path.basename(sys.argv[0])[:-3])
for recipe, epochs in json.loads(sys.argv[1]).items():
    flags.FLAGS.unparse_flags()
    flags.FLAGS(["", "--flagfile=" + recipe])
    rate = training.make_schedule(625)
    rates = [float(rate(625 * epoch)) for epoch in epochs]
    print("RECIPE", json.dumps([rates, flags.FLAGS.flag_values_dict()]))
sys.exit()
"""


@pytest.mark.tensorflow_only  # The same on every backend.
class RecipesTest(ExampleTestCase):
    def flags_of(self, example, prefixes, expected):
        """Parses all recipes of an example, and checks learning rates.

        Args:
            example: str. Its file.
            prefixes: tuple of str. What names of papers' recipes start with.
            expected: dict of the rates by epoch, by paper's recipe.

        Returns:
            dict of the flags, by paper's recipe, in the order of `expected`.
        """
        names = [name for name in EXAMPLES if EXAMPLES[name] == example]
        papers = {name for name in names if name.startswith(prefixes)}
        self.assertEqual(papers, set(expected))
        epochs = {name: list(expected.get(name, [1])) for name in names}
        paths = {str(FOLDER / f"{name}.txt"): epochs[name] for name in names}
        output = self.example(example, json.dumps(paths), change=PARSE)
        lines = re.findall("^RECIPE (.*)", output, re.MULTILINE)
        flags = {}
        for name, line in zip(names, lines, strict=True):
            rates, flags[name] = json.loads(line)
            if name in expected:
                values = list(expected[name].values())
                self.assertAllClose(rates, values, 1e-5, 0)
            self.assertGreater(max(rates), 0, name)
        return {name: flags[name] for name in expected}

    def test_every_recipe_is_parsed_here(self):
        examples = {"pretrain.py", "finetune.py", "linear_probe.py"}
        self.assertEqual(set(EXAMPLES.values()), examples)

    def test_the_pre_training_recipes_are_the_papers(self):
        # Rates by epoch, from SimMIM's table: a batch of 2048, 10 epochs of
        # warm-up. timm's cosine is not at its peak when it takes over.
        met = 4e-5 + (8e-4 - 4e-5) * (1 + math.cos(math.pi / 10)) / 2
        step = {0: 2e-6, 10: 4e-4, 699: 4e-4, 700: 4e-5}
        # MAE's: a batch of 4096, 40 epochs of warm-up, half of a cosine.
        mae = {0: 0, 20: 1.2e-3, 40: 2.4e-3, 420: 1.2e-3, 800: 0}
        expected = {
            "simmim_swin_base_100": {0: 4e-6, 5: 4.02e-4, 10: met, 100: 4e-5},
            "simmim_swin_base_800": step,
            "simmim_swin_large_800": step,
            "simmim_vit_base_800": step,
            "mae_vit_base_800": mae,
            "mae_vit_large_800": mae,
            "mae_vit_huge_800": mae,
        }
        recipes = self.flags_of("pretrain.py", ("simmim", "mae"), expected)
        for name, flags in recipes.items():
            method, encoder, size, epochs = name.split("_")
            self.assertEqual(flags["method"], method)
            self.assertEqual(flags["encoder"], f"{encoder}_{size}")
            self.assertEqual(flags["epochs"], int(epochs))
            batch_size = {"mae": 4096, "simmim": 2048}[method]
            self.assertEqual(flags["batch_size"], batch_size)

    def test_the_fine_tuning_recipes_are_the_papers(self):
        # Peak 5e-3 for a batch of 2048, timm's cosine over 100 epochs, 20 of
        # warm-up, from and to 1e-6; MAE: 4e-3 (2e-3 for ViT-B) for 1024, a
        # cosine after 5 epochs, to 1e-6.
        met = 1e-6 + (5e-3 - 1e-6) * (1 + math.cos(math.pi / 5)) / 2
        simmim = {0: 1e-6, 10: (1e-6 + 5e-3) / 2, 20: met, 100: 1e-6}
        expected = {
            "finetune_simmim_swin_base_100_192": simmim,
            "finetune_simmim_swin_base_100": simmim,
            "finetune_simmim_swin_base_800": simmim,
            "finetune_simmim_swin_large_800": simmim,
            "finetune_simmim_vit_base_800": simmim,
            "finetune_mae_vit_base": {0: 0, 5: 2e-3, 100: 1e-6},
            "finetune_mae_vit_large": {0: 0, 5: 4e-3, 50: 1e-6},
            "finetune_mae_vit_huge": {0: 0, 5: 4e-3, 50: 1e-6},
        }
        recipes = self.flags_of("finetune.py", ("finetune",), expected)
        decays = [flags["layer_decay"] for flags in recipes.values()]
        self.assertEqual(decays, [0.9, 0.9, 0.8, 0.7, 0.65, 0.65, 0.75, 0.75])
        drops = [flags["drop_path_rate"] for flags in recipes.values()]
        self.assertEqual(drops, [0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.2, 0.3])

    def test_the_linear_probes_recipe_is_maes(self):
        # 0.1 per 256 images for a batch of 16,384, half a cosine to 0.
        expected = {"linear_probe_mae": {0: 0, 10: 6.4, 50: 3.2, 90: 0}}
        recipes = self.flags_of("linear_probe.py", "linear_probe", expected)
        self.assertEqual(recipes["linear_probe_mae"]["pooling"], "cls")
