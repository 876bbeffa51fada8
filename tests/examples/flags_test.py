import contextlib
import importlib
import os
import sys

import keras
import pytest
from absl import app
from absl import flags

from tests import tiny
from tests.test_case import ROOT
from tests.test_case import TestCase

pytest.importorskip("tensorflow")
EXAMPLES = ROOT / "examples"
SCRIPTS = [
    path.stem
    for path in sorted(EXAMPLES.glob("*.py"))
    if "app.run(" in path.read_text()
]
SMALL = "image_size=16 patch_size=8 hidden_dim=16 num_layers=1 num_heads=2"
# Numbers that no flag takes, and some that only fractions or signs rule out.
NO_NUMBERS = ("nan", "inf", "-inf", "x", "", "1j")
WRONG_COUNTS = (*NO_NUMBERS, "0", "-1", "1.5", str(2**40))
# Strings that are no paths, and are looked at where they are read.
TEXTS = {
    *("train_split", "validation_split", "test_split"),
    *("pretrain_flags", "probe_flags", "finetune_flags", "scratch_flags"),
}
WRONG_TOGETHER = (
    *("--decoder_dim=8 --method=simmim", "--mask_tokens --method=simmim"),
    *("--simmim_head=mlp", "--masking=grid --mask_ratio=0.5"),
    *("--num_components=3", "--momentum=0.5", "--teacher=pretrain.py"),
    *("--target=hog --pool_size=2", "--norm_pix --target=pca", "--depths=2"),
    *("--num_layers=2 --encoder=vit_tiny", "--step_epoch=3"),
    *("--schedule=step", "--schedule=step --min_learning_rate=0"),
    *("--target=tokens", "--target=features", "--target=ema --teacher=x"),
    *("--target=tokens --teacher=nowhere.keras", "--layer_scale=1e400"),
    *("--encoder=swin_tiny --method=simmim --positions=learned", "--epochs="),
)
NO_MODEL = (
    *("--image_size=65", "--hidden_dim=6", "--num_heads=3", "--depths=1"),
    *("--method=simmim --mask_patch_size=12", "--mask_ratio=0.9999"),
    *("--positions=relative", "--encoder=swin", "--decoder_heads=3"),
    *("--target=pca --num_components=200", "--pool_size=3"),
    *("--norm_pix --pool_size=8", "--masking=square --mask_ratio=0.99"),
)


@contextlib.contextmanager
def script(name):
    """Gives an example's module, with its flags alone in `flags.FLAGS`."""
    state, path = flags.FLAGS.__dict__, list(sys.path)
    before, of_absl = dict(state), flags.FLAGS.flags_by_module_dict()
    kept = take_modules(name)
    state.update(flags.FlagValues().__dict__)
    for module, found in of_absl.items():
        for flag in found if module.startswith("absl") else ():
            flags.FLAGS[flag.name] = flag
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path[:] = path
        take_modules(name)
        sys.modules.update(kept)
        state.clear()
        state.update(before)


def take_modules(script):
    """Takes an example's modules out of Python's, and returns them."""
    names = [
        name
        for name in sys.modules
        if name == script or name.partition(".")[0] == "support"
    ]
    return {name: sys.modules.pop(name) for name in names}


def refusal(module, *words):
    """Returns what is said of a command line, or `None` if nothing is."""
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    try:
        rest = flags.FLAGS([module.__name__, *words])
        module.checks.check(rest, module.__name__ in TAKES_FILES)
    except (flags.Error, app.UsageError) as error:
        return str(error)
    return None


TAKES_FILES = ("reconstruct", "object_masks")


class FlagsTest(TestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(os.chdir, os.getcwd())
        self.folder = self.temp_dir()
        os.chdir(self.folder)

    def assertRefused(self, module, *words):
        said = refusal(module, *words)
        self.assertIsNotNone(said, f"{module.__name__} {words} is taken")
        return said

    def test_every_number_has_a_range_and_every_path_is_one(self):
        for name in SCRIPTS:
            with script(name) as module:
                ranges = " ".join(module.checks.RANGES.values()).split()
                for flag in flags.FLAGS.get_key_flags_for_module(module):
                    kind = flag.flag_type()
                    known = kind in ("bool", "string enum")
                    if kind in ("int", "float") or "list" in kind:
                        known = flag.name in (*ranges, "rows")
                    elif kind == "string":
                        known = flag.name in {*module.checks.PATHS, *TEXTS}
                    self.assertTrue(known, f"{name} --{flag.name}, {kind}")
                self.assertIsNone(refusal(module), name)

    def test_wrong_numbers_are_refused_by_name(self):
        for name in SCRIPTS:
            with script(name) as module:
                for flag in flags.FLAGS.get_key_flags_for_module(module):
                    for interval, names in module.checks.RANGES.items():
                        if flag.name not in names.split():
                            continue
                        values = list(NO_NUMBERS)
                        if interval == module.checks.COUNT:
                            values = list(WRONG_COUNTS)
                        low, high = map(float, interval[1:-1].split(", "))
                        values += [str(low - 1), str(high + 1)]
                        if interval[0] == "(":
                            values.append(str(low))
                        if interval[-1] == ")":
                            values.append(str(high))
                        for value in {*values} - {"-inf", "inf"}:
                            if not value and "list" in flag.flag_type():
                                continue  # None of them.
                            said = self.assertRefused(
                                module, f"--{flag.name}={value}"
                            )
                            self.assertIn(flag.name, said)

    def test_words_and_flags_of_another_script_are_refused(self):
        for name in SCRIPTS:
            with script(name) as module:
                for words in (
                    ["1", "2", "3"],
                    ["--nothing=1"],
                    ["--flip", "0"],
                ):
                    self.assertRefused(module, *words)
                if name in TAKES_FILES:
                    self.assertIn("not there", refusal(module, "no.jpg"))

    def test_flags_that_do_not_go_together(self):
        with script("pretrain") as module:
            for words in WRONG_TOGETHER:
                self.assertRefused(module, *words.split())

    @pytest.mark.tensorflow_only  # The same on every backend.
    def test_flags_that_make_no_model(self):
        with script("pretrain") as module:
            for words in NO_MODEL:
                # Those that name the encoder's sizes go with `vit`.
                small = [] if "swin" in words else f"--{SMALL}".split()
                small = [w if w[0] == "-" else f"--{w}" for w in small]
                self.assertIsNone(refusal(module, *small))
                said = refusal(module, *small, *words.split())
                if said is None:
                    with self.assertRaises(app.UsageError, msg=words):
                        module.methods.try_model()

    @pytest.mark.tensorflow_only  # The same on every backend.
    def test_a_shallow_model_leaves_names_and_precision_as_they_are(self):
        with script("pretrain") as module:
            small = [f"--{word}" for word in SMALL.split()]
            self.assertIsNone(refusal(module, *small, "--decoder_layers=0"))
            keras.config.set_dtype_policy("mixed_bfloat16")
            self.addCleanup(keras.config.set_dtype_policy, "float32")
            keras.utils.clear_session(free_memory=False)
            keras.config.set_dtype_policy("mixed_bfloat16")
            module.methods.try_model()
            self.assertEqual(keras.config.dtype_policy().name, "mixed_bfloat16")
            model = module.methods.make_model(None)
            self.assertEqual(model.name, "mae")
            self.assertEqual(model.head.num_layers, 0)

    def test_every_script_checks_before_it_does_anything(self):
        for name in SCRIPTS:
            with script(name) as module:
                self.assertIsNone(refusal(module))
                with self.assertRaises(app.UsageError):
                    module.main([name, "nothing"])
                self.assertEqual(list(self.folder.iterdir()), [])

    def test_paths_are_understood(self):
        (self.folder / "home/shots").mkdir(parents=True)
        before = os.environ["HOME"]
        self.addCleanup(os.environ.__setitem__, "HOME", before)
        os.environ["HOME"] = str(self.folder / "home")
        own = str(self.folder / "photos")
        with script("pretrain") as module:
            for given, expected in (
                ("~/shots", f"{self.folder}/home/shots"),
                ("~/shots/", f"{self.folder}/home/shots"),
                ("photos/", "photos"),
                ("photos", "photos"),
                ("clothing64", "clothing64"),
                ("/", "/"),
            ):
                self.assertIsNone(refusal(module, f"--data={given}"))
                self.assertEqual(flags.FLAGS.data, expected)
            os.mkdir("photos")
            refusal(module, "--data=photos/", "--output_dir=~/run/")
            self.assertEqual(os.path.realpath(flags.FLAGS.data), own)
            self.assertEqual(flags.FLAGS.output_dir, f"{self.folder}/home/run")

    @pytest.mark.tensorflow_only  # The same on every backend.
    def test_nothing_is_written_before_the_encoder_is_read(self):
        tiny.vit(use_class_token=False).save(self.folder / "vit.keras")
        wrong = [
            ["--encoder=nowhere.keras"],
            ["--encoder=nowhere.pth"],
            ["--encoder=vit.keras", "--pooling=cls"],
        ]
        of_finetune = [
            ["--encoder=vit.keras", "--data=nowhere"],
            ["--encoder=vit.keras", "--data=nowhere.npz"],
            ["--encoder=vit.keras", "--image_size=33"],
            ["--encoder=vit.keras", "--last_blocks=0.3"],
            ["--encoder=vit.keras", "--last_blocks=9"],
        ]
        for name, more in (("finetune", of_finetune), ("linear_probe", [])):
            with script(name) as module:
                for words in [*wrong, *more]:
                    self.assertIsNone(refusal(module, *words))
                    with self.assertRaises(app.UsageError, msg=words):
                        module.main([name])
                self.assertEqual(os.listdir(), ["vit.keras"])
