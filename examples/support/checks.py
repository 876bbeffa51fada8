"""What flags must be: looked at before data, and before a file is written."""

import fnmatch
import math
import os

from absl import app
from absl import flags

FLAGS = flags.FLAGS
# As papers write them. What is a list holds such numbers. A count is below
# 2 ** 31, which is what backends keep sizes in.
COUNT = "[1, 2147483648)"
RANGES = {
    COUNT: (
        "batch_size decoder_dim decoder_heads depths epochs "
        "hidden_dim image_size mask_patch_size neighbors num_components "
        "num_heads num_images num_layers num_masks num_tokens parallel "
        "patch_size picture_every pool_size seeds window_size"
    ),
    "[0, 2147483648)": "decoder_layers skip_bad_batches",
    "[0, 4294967296)": "seed",
    "[0, 1)": "drop_path_rate ema_momentum momentum",
    "(0, 1)": "mask_ratio",
    "(0, 1]": "crop_ratio crop_scale layer_decay share shares",
    "[0, 1]": "color_jitter cutmix erase_rate label_smoothing",
    "(0, inf)": "base_learning_rate clip_norm learning_rates step_epoch",
    "[0, inf)": (
        "head_stddev last_blocks min_learning_rate mixup warmup_epochs "
        "warmup_learning_rate weight_decay"
    ),
    "(-inf, inf)": "layer_scale",
}
WHOLE_LISTS = "depths", "neighbors"
PATHS = (
    "checkpoint data encoder mask_image output output_dir run teacher"
).split()
# By flag: which flag it goes with, and what that must be; `*` is any end.
GOES_WITH = {
    "decoder_dim": ("method", "mae"),
    "decoder_heads": ("method", "mae"),
    "decoder_layers": ("method", "mae"),
    "mask_tokens": ("method", "mae"),
    "simmim_head": ("method", "simmim"),
    "mask_ratio": ("masking", "random block square"),
    "num_components": ("target", "pca"),
    "momentum": ("target", "ema"),
    "teacher": ("target", "tokens features"),
    "norm_pix": ("target", "pixels"),
    "pool_size": ("target", "pixels"),
    "hidden_dim": ("encoder", "vit swin"),
    "num_heads": ("encoder", "vit swin"),
    "num_layers": ("encoder", "vit"),
    "depths": ("encoder", "swin"),
    "positions": ("encoder", "vit*"),
    "layer_scale": ("encoder", "vit*"),
    "key_bias": ("encoder", "vit*"),
    "initialization": ("encoder", "vit*"),
    "step_epoch": ("schedule", "step"),
    "min_learning_rate": ("schedule", "cosine cosine_from_start"),
}
# By flag and its value: the flag that must be given with it.
NEEDS = {
    ("schedule", "step"): "step_epoch",
    ("target", "tokens"): "teacher",
    ("target", "features"): "teacher",
}


def check(arguments, takes_files=False):
    """Ends the program where a flag is wrong, or something that is no flag.

    Paths of flags get the home folder for `~`, and lose a slash at the end.

    Args:
        arguments: list of str. What `main` is called with.
        takes_files: bool. Whether words that are no flags name files.

    Returns:
        list of str: the files, which are there.
    """
    words = arguments[1:]
    if words and not takes_files:
        raise app.UsageError(
            f"{' '.join(words)}: these are no flags, which begin with --. "
            "(One that switches is --flip or --noflip.)"
        )
    for interval, names in RANGES.items():
        for name in names.split():
            if name in FLAGS:
                _check_range(name, FLAGS[name].value, interval)
    _check_together()
    for name in PATHS:
        if name in FLAGS and FLAGS[name].value:
            FLAGS[name].value = _plain_path(name, FLAGS[name].value)
    for name in ("mask_image", "teacher"):
        if name in FLAGS and FLAGS[name].value:
            check_file(FLAGS[name].value, f"--{name}")
    return [check_file(os.path.expanduser(word)) for word in words]


def check_file(path, what="A file"):
    """Returns a path, or ends the program where there is no file."""
    if not os.path.isfile(path):
        raise app.UsageError(f"{what} is not there: {path}")
    return path


def find_model(path, name, flag):
    """Returns the path of a model in a run folder, or of a model's own.

    Args:
        path: str. A run folder or a file.
        name: str. The file in a run folder.
        flag: str. The flag that names it.

    Returns:
        str.
    """
    path = os.path.join(path, name) if os.path.isdir(path) else path
    return check_file(path, f"--{flag}")


def _check_range(name, value, interval):
    """Ends the program unless a flag lies in an interval, or is not given."""
    low, high = map(float, interval[1:-1].split(", "))
    for item in value if isinstance(value, list) else [value]:
        if item is None:
            continue
        try:
            number = int(item) if name in WHOLE_LISTS else float(item)
        except ValueError:
            number = math.nan
        right = math.isfinite(number) and low <= number <= high
        right = right and (number != low or interval[0] == "[")
        if not right or (number == high and interval[-1] == ")"):
            kind = "a number"
            if interval == COUNT:
                kind, interval = "a whole number", "[1, 2 ** 31)"
            raise app.UsageError(
                f"--{name} must be {kind} in {interval}. "
                f"Received: --{name}={item}"
            )


def _check_together():
    """Ends the program where a flag has no effect, or lacks another."""
    for name, (other, values) in GOES_WITH.items():
        if name not in FLAGS or other not in FLAGS or not FLAGS[name].present:
            continue
        values = values.split()
        if not any(fnmatch.fnmatch(FLAGS[other].value, v) for v in values):
            raise app.UsageError(
                f"--{name} goes with --{other}={' or '.join(values)}. "
                f"Received: --{name}={FLAGS[name].value} "
                f"--{other}={FLAGS[other].value}"
            )
    for (name, value), needed in NEEDS.items():
        if name not in FLAGS or FLAGS[name].value != value:
            continue
        if FLAGS[needed].value is None:
            raise app.UsageError(f"--{name}={value} needs --{needed}.")


def _plain_path(name, path):
    """Returns a path without `~`, and without a slash at its end."""
    path = os.path.expanduser(path)
    plain = path.rstrip("/") or path
    # A folder of one's own that is named as a bundled data set is.
    if name == "data" and plain != path and os.path.isdir(plain):
        return os.path.abspath(plain)
    return plain
