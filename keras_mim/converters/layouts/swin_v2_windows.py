import re

import numpy as np

from keras_mim.converters._checkpoint import COORDINATES


def swin_v2_windows(checkpoint, stages, window_size):
    """Returns the windows that the weights of a Swin v2 go with.

    No weight depends on them, so they cannot be read off the weights.

    Args:
        checkpoint: `Checkpoint`.
        stages: iterable of int. Numbers of the stages.
        window_size: int or `None`. What the caller says.

    Returns:
        Tuple of the side of the windows, an int, and a tuple with the side of
        those by which offsets are measured, per stage, or `None` for the
        windows of the model.
    """
    coordinates = _coordinates(checkpoint.buffers)
    config = checkpoint.config
    if set(stages) <= set(coordinates):
        sizes = [_sizes(coordinates[stage]) for stage in stages]
        return sizes[0][0], tuple(pretrained for _, pretrained in sizes)
    if {"window_size", "image_size", "patch_size"} <= set(config):
        own = config["window_size"]
        given = config.get("pretrained_window_sizes") or [0] * len(stages)
        return own, tuple(
            size or min(own, _height(config, stage))
            for stage, size in zip(stages, given, strict=True)
        )
    if window_size is None:
        raise ValueError(
            f"{checkpoint.source} does not tell the windows of its Swin v2, as "
            "no file of timm's does: pass window_size; or build a SwinV2, with "
            "pretrained_window_sizes if it needs them, and use load_swin. "
            "Received: window_size=None"
        )
    return window_size, None


def check_swin_v2_windows(checkpoint, encoder):
    """Raises if an encoder's offsets go by other windows than a checkpoint's.

    Args:
        checkpoint: `Checkpoint`.
        encoder: `SwinV2`.
    """
    stages = range(len(encoder.depths))
    _, told = swin_v2_windows(checkpoint, stages, encoder.window_size)
    firsts = [sum(encoder.depths[:stage]) for stage in stages]
    attentions = [encoder.blocks[first].attention for first in firsts]
    own = tuple(x.pretrained_window_size or x.window for x in attentions)
    if told not in (None, own):
        raise ValueError(
            f"{checkpoint.source} measures offsets by windows of {told}, stage "
            f"by stage, and the encoder by {own}: build it with "
            f"pretrained_window_sizes={told}. Received: an encoder with "
            f"pretrained_window_sizes={encoder.pretrained_window_sizes}"
        )


def _coordinates(buffers):
    """Returns the tables of coordinates by stage, where files hold them.

    Microsoft's do, and transformers' older ones.
    """
    pattern = re.compile(
        r"layers\.(\d+)\.blocks\.0\.(?:attn|attention\.self)\."
        rf"{COORDINATES}$"
    )
    found = {pattern.search(name): array for name, array in buffers.items()}
    return {int(m[1]): array for m, array in found.items() if m}


def _sizes(table):
    """Returns the window of a table of coordinates, and that it goes by.

    The largest coordinate is `log8(1 + 8 * (window - 1) / (pretrained - 1))`.
    """
    side = table.shape[1] if table.ndim == 4 else 0
    largest = (8 ** float(table.max()) - 1) / 8 if table.size else 0
    if table.shape != (1, side, side, 2) or not 0 < largest < np.inf:
        if side == 1 and largest == 0:
            return 1, 1
        raise ValueError(
            "A table of coordinates must have shape (1, 2 * window - 1, 2 * "
            "window - 1, 2) and a largest value above 0. Received: shape "
            f"{table.shape}, largest value {table.max() if side else None}"
        )
    window = (side + 1) // 2
    return window, 1 + round((window - 1) / largest)


def _height(config, stage):
    """Returns the height of a stage's map as transformers halves it."""
    size = config["image_size"]
    height = size if isinstance(size, int) else size[0]
    return height // config["patch_size"] // 2**stage
