"""Damaged, wrong and hostile checkpoints: an error, or loaded right."""

import os
import pickle
import zipfile

import numpy as np
import pytest

import keras_mim
from keras_mim import converters
from tests.converters import published
from tests.test_case import TestCase

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.numpy")


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.torch_only  # Reading files is the same on every backend.
class MalformedTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.temp_dir()
        self.arrays = published.tiny()
        self.encoder = keras_mim.encoders.ViT((16, 16, 3), 4, 32, 2, 4, 128)
        self.before = converters.to_torch_state_dict(self.encoder)
        self.num_files = 0

    def path(self, suffix):
        self.num_files += 1
        return self.folder / f"{self.num_files}{suffix}"

    def write(self, arrays, suffix):
        """Writes a file of each format that is read."""
        path = self.path(suffix)
        tensors = {k: torch.tensor(v) for k, v in arrays.items()}
        if suffix == ".safetensors":
            safetensors.save_file(arrays, path)
        elif suffix == ".npz":
            np.savez(path, **arrays)
        elif suffix == ".bin":  # PyTorch's format before 1.6.
            torch.save(tensors, path, _use_new_zipfile_serialization=False)
        else:
            torch.save({"model": tensors}, path)
        return path

    def read_independently(self, path):
        if path.suffix == ".safetensors":
            return safetensors.load_file(path)
        if path.suffix == ".npz":
            return dict(np.load(path))
        content = torch.load(path, weights_only=True)
        content = content.get("model", content)
        return {k: v.numpy() for k, v in content.items()}

    def try_to_load(self, path):
        """Returns whether the file loaded; then it must have loaded right."""
        try:
            converters.load_mae(self.encoder, path)
        except ValueError as error:
            self.assertGreater(len(str(error)), 20)
            state = converters.to_torch_state_dict(self.encoder)
            for name, value in self.before.items():
                self.assertAllEqual(state[name].numpy(), value.numpy())
            return False
        state = converters.to_torch_state_dict(self.encoder)
        content = self.read_independently(path)
        for name, value in state.items():
            if name != "pos_embed":  # Ours: the file's is only compared.
                self.assertAllEqual(value.numpy(), content[name])
        self.before = state
        return True

    def test_truncated_and_flipped_files(self):
        rng = np.random.default_rng(0)
        loaded = {}
        for suffix in (".pth", ".safetensors", ".npz", ".bin"):
            whole = self.write(self.arrays, suffix).read_bytes()
            # The front holds names and shapes, the end of a zip its index.
            spots = [0, 1, 8, 100, len(whole) - 100, len(whole) - 1]
            spots += list(rng.integers(0, len(whole), 20))
            for spot in spots:
                path = self.path(suffix)
                path.write_bytes(whole[:spot])
                self.assertFalse(self.try_to_load(path), f"cut at {spot}")
                flipped = bytearray(whole)
                flipped[spot] ^= 1 << int(rng.integers(8))
                path = self.path(suffix)
                path.write_bytes(flipped)
                loaded.setdefault(suffix, []).append(self.try_to_load(path))
        self.assertGreater(self.num_files, 200)
        # These have check sums over the arrays; the other two have none.
        first_in_the_arrays = 6
        for suffix in (".pth", ".npz"):
            self.assertFalse(any(loaded[suffix][first_in_the_arrays:]))

    def test_renamed_reshaped_and_poisoned_arrays(self):
        rng = np.random.default_rng(1)
        names = list(self.arrays)
        for _ in range(15):
            name = names[rng.integers(len(names))]
            array = self.arrays[name]
            others = {k: v for k, v in self.arrays.items() if k != name}
            poisoned = array.copy()
            poisoned.flat[rng.integers(array.size)] = rng.choice(
                [np.nan, np.inf]
            )
            for change in (
                {},
                {name + "x": array},
                {name.upper(): array},
                {name: array[None]},
                {name: array.reshape(-1)[:-1]},
                {name: np.concatenate([array, array], axis=-1)},
                {name: poisoned},
                {name: array.astype("int32")},
                {name: array, "stranger": array},
            ):
                for suffix in (".pth", ".safetensors"):
                    path = self.write(others | change, suffix)
                    self.assertFalse(
                        self.try_to_load(path), f"{name}: {list(change)}"
                    )
        self.assertGreater(self.num_files, 200)

    def test_swapped_axes(self):
        name = "blocks.0.mlp.fc1.weight"
        path = self.write(self.arrays | {name: self.arrays[name].T}, ".pth")
        with self.assertRaisesRegex(
            ValueError,
            rf"{path.name}: `{name}` must have shape \(128, 32\). "
            r"Received: shape \(32, 128\)",
        ):
            converters.load_mae(self.encoder, path)

    def test_code_is_refused_and_not_run(self):
        victim = self.folder / "victim"
        calls = (
            (os.system, f"touch {victim}"),
            (os.mkdir, str(victim)),
            (eval, f"open({str(victim)!r}, 'w')"),
            (exec, f"open({str(victim)!r}, 'w')"),
            (os.getcwd,),
        )
        for call in calls:
            for content in (
                Code(*call),
                {"model": Code(*call)},
                {"model": {"cls_token": Code(*call)}},
                {"model": {}, "args": Code(*call)},
            ):
                for legacy in (False, True):
                    path = self.path(".pth")
                    torch.save(
                        content,
                        path,
                        _use_new_zipfile_serialization=not legacy,
                    )
                    with self.assertRaisesRegex(
                        ValueError, "could run code.*nsupported"
                    ):
                        converters.load_mae(self.encoder, path)
                    self.assertFalse(self.try_to_load(path))
                path = self.path(".pth")
                path.write_bytes(pickle.dumps(content))
                self.assertFalse(self.try_to_load(path))
                path = self.path(".npz")
                np.savez(path, cls_token=np.array([Code(*call)], object))
                self.assertFalse(self.try_to_load(path))
        self.assertFalse(victim.exists())

    def test_wrong_formats(self):
        for suffix in (".pth", ".safetensors", ".npz"):
            for content in (b"", b"\x89PNG\r\n", b"PK\x03\x04", b"{" * 500):
                path = self.path(suffix)
                path.write_bytes(content)
                self.assertFalse(self.try_to_load(path))
        path = self.path(".pth")
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("holiday.txt", "not weights")
        self.assertFalse(self.try_to_load(path))
        torch.save([torch.zeros(3)], path)
        with self.assertRaisesRegex(ValueError, "It holds a list"):
            converters.load_mae(self.encoder, path)
        with self.assertRaisesRegex(ValueError, "must end in one of"):
            path = self.path(".h5")
            path.write_bytes(b"")
            converters.load_mae(self.encoder, path)
        with self.assertRaisesRegex(ValueError, "There is no 'nothing.pth'"):
            converters.load_mae(self.encoder, "nothing.pth")

    def test_building_from_a_malformed_file(self):
        rng = np.random.default_rng(2)
        names = list(self.arrays)
        for _ in range(30):
            name = names[rng.integers(len(names))]
            for change in (None, np.float32(1.0), np.zeros((0, 3), "float32")):
                arrays = dict(self.arrays)
                arrays.pop(name)
                if change is not None:
                    arrays[name] = change
                with self.assertRaises(ValueError):
                    converters.from_checkpoint(arrays, num_heads=4)
