import re

from keras_mim.converters.layouts import hf_name


class NamedArrays:
    """A checkpoint's arrays, asked for by MAE's names in any layout.

    Args:
        source: str. The checkpoint, for messages.
        arrays: dict of str to NumPy array.
        layout: str. `"mae"` or `"hf"`.
    """

    def __init__(self, source, arrays, layout):
        self.source = source
        self.arrays = arrays
        self.layout = layout

    def name(self, mae_name):
        return hf_name(mae_name) if self.layout == "hf" else mae_name

    def __contains__(self, mae_name):
        return self.name(mae_name) in self.arrays

    def get(self, mae_name, rank):
        """Returns an array that must be there and have this rank."""
        name = self.name(mae_name)
        if name not in self.arrays:
            raise ValueError(
                f"{self.source} must hold `{name}`, from which the model's "
                "size is read. It does not"
            )
        array = self.arrays[name]
        if array.ndim != rank or 0 in array.shape:
            raise ValueError(
                f"{self.source}: `{name}` must have {rank} axes, none of them "
                f"empty. Received: shape {array.shape}"
            )
        return array

    def depth(self, blocks):
        """Returns the number of blocks under a name such as `"blocks."`."""
        pattern = re.compile(re.escape(self.name(blocks)) + r"(\d+)\.")
        numbers = [pattern.match(name) for name in self.arrays]
        return 1 + max((int(m[1]) for m in numbers if m), default=-1)
