import ast
import inspect

import keras_mim
from tests.test_case import ROOT
from tests.test_case import TestCase

FLOORS = {
    "base": 0,
    "ops": 1,
    "random": 1,
    "masking": 2,
    "layers": 2,
    "targets": 2,
    "encoders": 3,
    "models": 4,
    "transfer": 5,
    "optimizers": 5,
    "data": 5,
    "callbacks": 6,
    "converters": 6,
    "serving": 6,
    "distribution": 7,
}
# What stands beside the packages, below all of them.
BASE = {
    "_array_checks",
    "_checks",
    "_compiled_on_torch",
    "_files",
    "_requirements",
    "normalization",
}
ALWAYS_THERE = {"absl", "keras", "numpy", "keras_mim"}


def imports(tree):
    """Yields the dotted names that a module imports, and where."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node


def modules():
    """Yields the package, path and syntax tree of the library's modules."""
    root = ROOT / "keras_mim"
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        package = parts[0] if len(parts) > 1 else "keras_mim"
        if path.stem in BASE and len(parts) == 1:
            package = "base"
        yield package, path, ast.parse(path.read_text())


def packages_imported():
    """Returns, by package, the packages of the library that it imports."""
    found = {}
    for package, _, tree in modules():
        names = found.setdefault(package, set())
        for name, _ in imports(tree):
            parts = [*name.split("."), ""]
            floor = "base" if parts[1] in BASE else parts[1]
            if parts[0] == "keras_mim" and floor in FLOORS:
                names.add(floor)
        names.discard(package)
    return found


class LayeringTest(TestCase):
    def test_imports_go_down_only(self):
        found = packages_imported()
        self.assertIn("models", found)
        for package, names in found.items():
            if package == "keras_mim":
                continue
            for name in names:
                self.assertLess(
                    FLOORS[name],
                    FLOORS[package],
                    f"{package} must not import {name}",
                )

    def test_build_file_has_the_same_dependencies(self):
        libraries = {}
        for node in ast.parse((ROOT / "BUILD").read_text()).body:
            call = node.value
            if call.func.id == "py_library":
                values = {k.arg: k.value for k in call.keywords}
                deps = values.get("deps", ast.List([]))
                libraries[ast.literal_eval(values["name"])] = {
                    ast.literal_eval(dep).removeprefix(":") for dep in deps.elts
                }
        self.assertEqual(libraries, packages_imported())

    def test_optional_packages_are_imported_when_called(self):
        import sys

        for _, path, tree in modules():
            inside = {
                id(node)
                for function in ast.walk(tree)
                if isinstance(function, ast.FunctionDef)
                for node in ast.walk(function)
            }
            for name, node in imports(tree):
                top = name.split(".")[0]
                known = ALWAYS_THERE | set(sys.stdlib_module_names)
                self.assertTrue(
                    top in known or id(node) in inside,
                    f"{path.name} imports {top} at the top",
                )

    def test_encoders_are_told_apart_only_where_they_are_at_home(self):
        classes = {"ViT", "Swin", "SwinV2", "WindowEncoder"}
        for _, path, tree in modules():
            at_home = {"encoders", "layouts"} & set(path.parts)
            for call in ast.walk(tree):
                if not isinstance(call, ast.Call) or at_home:
                    continue
                name = getattr(call.func, "id", None)
                named = {
                    getattr(node, "id", getattr(node, "attr", None))
                    for argument in call.args[1:]
                    for node in ast.walk(argument)
                }
                if name in ("isinstance", "issubclass"):
                    self.assertFalse(classes & named, f"{path}: {named}")

    def test_no_statistics_but_normalizations(self):
        # PCA's mean is a patch, not a number per channel.
        own = {"Normalization", "PCATarget"}
        seen = 0
        for package in (keras_mim, *vars(keras_mim).values()):
            if not inspect.ismodule(package):
                continue
            for name, public in vars(package).items():
                if name.startswith("_") or not callable(public) or name in own:
                    continue
                signature = inspect.signature(public)
                seen += 1
                self.assertFalse({"mean", "std"} & set(signature.parameters))
        self.assertGreater(seen, 60)

    def test_modules_that_export_nothing_say_so(self):
        for _, path, _ in modules():
            package = path.parent / "__init__.py"
            if path.stem in ("__init__", "version", "normalization"):
                continue
            # Converters' layouts are values of a package that is private.
            exported = f".{path.stem} import" in package.read_text()
            if path.parent.name not in ("layouts", "keras_mim"):
                self.assertNotEqual(exported, path.stem[0] == "_", path.name)

    def test_files_stay_readable(self):
        for _, path, _ in modules():
            lines = len(path.read_text().splitlines())
            self.assertLessEqual(lines, 300, path.name)
