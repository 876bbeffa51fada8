"""The published checkpoints' names and shapes, written down independently.

From the files of facebookresearch/mae: what a converter must read.
"""

import numpy as np

SIZES = {  # width, blocks, side of a patch
    "base": (768, 12, 16),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 14),
}


def block_shapes(prefix, width):
    shapes = {}
    for name, out, into in (
        ("attn.qkv", 3 * width, width),
        ("attn.proj", width, width),
        ("mlp.fc1", 4 * width, width),
        ("mlp.fc2", width, 4 * width),
    ):
        shapes[f"{prefix}.{name}.weight"] = (out, into)
        shapes[f"{prefix}.{name}.bias"] = (out,)
    for name in ("norm1", "norm2"):
        shapes[f"{prefix}.{name}.weight"] = (width,)
        shapes[f"{prefix}.{name}.bias"] = (width,)
    return shapes


def encoder_shapes(width, depth, patch, channels=3, grid=(14, 14)):
    """`mae_pretrain_vit_*.pth`."""
    shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, grid[0] * grid[1] + 1, width),
        "patch_embed.proj.weight": (width, channels, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    if (patch, grid) == (14, (14, 14)):
        shapes["pos_embed"] = (1, 16 * 16 + 1, width)
    for i in range(depth):
        shapes |= block_shapes(f"blocks.{i}", width)
    return shapes


def decoder_shapes(
    encoder_width, patch, channels=3, grid=(14, 14), width=512, depth=8
):
    """What `_full` and `mae_visualize_vit_*.pth` hold beside the encoder."""
    shapes = {
        "mask_token": (1, 1, width),
        "decoder_embed.weight": (width, encoder_width),
        "decoder_embed.bias": (width,),
        "decoder_pos_embed": (1, grid[0] * grid[1] + 1, width),
        "decoder_norm.weight": (width,),
        "decoder_norm.bias": (width,),
        "decoder_pred.weight": (patch**2 * channels, width),
        "decoder_pred.bias": (patch**2 * channels,),
    }
    for i in range(depth):
        shapes |= block_shapes(f"decoder_blocks.{i}", width)
    return shapes


def finetuned_shapes(width, depth, patch, num_classes=1000):
    """`mae_finetuned_vit_*.pth`: mean-pooled classifiers."""
    shapes = encoder_shapes(width, depth, patch)
    del shapes["norm.weight"], shapes["norm.bias"]
    return shapes | {
        "fc_norm.weight": (width,),
        "fc_norm.bias": (width,),
        "head.weight": (num_classes, width),
        "head.bias": (num_classes,),
    }


def sine_cosine(grid, width):
    """The table, element by element."""
    table = np.zeros((1 + grid[0] * grid[1], width))
    quarter = width // 4
    for row in range(grid[0]):
        for column in range(grid[1]):
            features = table[1 + row * grid[1] + column]
            for k in range(quarter):
                omega = 10000 ** (-k / quarter)
                features[k] = np.sin(column * omega)
                features[quarter + k] = np.cos(column * omega)
                features[2 * quarter + k] = np.sin(row * omega)
                features[3 * quarter + k] = np.cos(row * omega)
    return table[None].astype("float32")


def random_arrays(shapes, grid, seed=0):
    """Returns random arrays of these shapes; position tables are MAE's."""
    rng = np.random.default_rng(seed)
    return {
        name: sine_cosine(grid, shape[-1])
        if "pos_embed" in name
        else rng.normal(0, 0.05, shape).astype("float32")
        for name, shape in shapes.items()
    }


def tiny(decoder=False, grid=(4, 4), channels=3, width=32, depth=2, seed=0):
    """A small file in MAE's layout: patches of 4 pixels, width 32."""
    shapes = encoder_shapes(width, depth, 4, channels, grid)
    if decoder:
        shapes |= decoder_shapes(width, 4, channels, grid, 16, 1)
    return random_arrays(shapes, grid, seed)
