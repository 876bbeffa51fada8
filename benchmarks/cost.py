"""What does a pre-training run cost? A small model of time, and no measurement.

    python benchmarks/cost.py --devices=8 --share=0.34

MAE with ViT-B/16, L/16 and H/14 at 224 pixels. A step lasts

    FLOPs / (devices * peak * share) + 28 bytes * weights / bandwidth

The first part is its matrix products, counted from the shapes, backward twice
forward, at a share of the published bfloat16 peak. The second is AdamW on every
device: float32 weight, gradient and two moments are read, all but the gradient
written. Nothing else is in it: no input, no network.
"""

from absl import app
from absl import flags

from harness.workloads import MODELS

FLAGS = flags.FLAGS
flags.DEFINE_integer("devices", 8, "Number of devices.")
flags.DEFINE_float("share", 0.34, "Of the peak; see results/gpu.")
flags.DEFINE_integer("epochs", 800, "Of ImageNet-1k.")
flags.DEFINE_integer("batch_size", 4096, "Images per step, of all devices.")

NUM_IMAGES = 1281167
# TFLOP/s in bfloat16 (V100: float16), dense, and TB/s of memory, as published;
# of TPU v3, which has two, for each core.
DEVICES = {
    "A100": (312, 2.0),
    "H100": (989, 3.35),
    "TPU v4": (275, 1.2),
    "TPU v5e": (197, 0.82),
    "TPU v3 core": (61.5, 0.45),
    "V100": (125, 0.9),
}


def count_weights(model):
    """Returns the number of trainable weights of an MAE."""

    def blocks(dim, depth):
        # Then a norm.
        return depth * (12 * dim**2 + 13 * dim) + 2 * dim

    patch_dim, (width, depth, _) = 3 * model.patch_size**2, model.decoder
    encoder = (patch_dim + 1) * model.dim + model.dim
    decoder = (model.dim + 1) * width + width + (width + 1) * patch_dim
    encoder += blocks(model.dim, model.depth)
    return encoder + decoder + blocks(width, depth)


def hours(model, device):
    """Returns the hours of a run and the part of AdamW in them."""
    peak, bandwidth = DEVICES[device]
    rate = FLAGS.devices * peak * 1e12 * FLAGS.share
    products = 3 * model.forward_flops() * FLAGS.batch_size / rate
    update = 28 * count_weights(model) / (bandwidth * 1e12)
    steps = FLAGS.epochs * NUM_IMAGES / FLAGS.batch_size
    return steps * (products + update) / 3600, update / (products + update)


def main(_):
    print(
        "| MAE | million weights | GFLOP per image, step | "
        + " | ".join(f"h, {FLAGS.devices} x {name}" for name in DEVICES)
        + " |"
    )
    print("|---" * (3 + len(DEVICES)) + "|")
    for name in ("base", "large", "huge"):
        model = MODELS[f"mae_vit_{name}"]
        cells = [
            f"ViT-{name[0].upper()}/{model.patch_size}",
            f"{count_weights(model) / 1e6:.0f}",
            f"{3e-9 * model.forward_flops():.0f}",
        ]
        for device in DEVICES:
            time, of_update = hours(model, device)
            cells.append(f"{time:.1f} ({100 * of_update:.0f} % AdamW)")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    app.run(main)
