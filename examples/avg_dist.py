"""Draws SimMIM's AvgDist against the mask ratio, for each kind of mask.

    python examples/avg_dist.py --output avg_dist.png

AvgDist is the mean distance of hidden pixels to the nearest visible one. The
paper finds that masks which make it 10 to 20 pixels train best (figure 3).
"""

import pathlib

import keras
import numpy as np
from absl import app
from absl import flags

from keras_mim import masking
from keras_mim import ops
from support import checks

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "avg_dist.png", "The PNG to write.")
flags.DEFINE_integer("image_size", 192, "Side of the images, pixels.")
flags.DEFINE_integer("num_masks", 48, "Masks to average over.")
flags.DEFINE_integer("seed", 0, "Seed of the masks.")

PATCH_SIZE = 4
RATIOS = np.arange(0.1, 0.91, 0.1)


def make_maskings():
    """Returns functions from a ratio to a masking, by name."""
    kinds = {
        f"random, {cell} px": lambda ratio, cell=cell: masking.RandomMasking(
            ratio, cell, PATCH_SIZE, FLAGS.seed
        )
        for cell in (4, 8, 16, 32, 64)
        if FLAGS.image_size % cell == 0 and FLAGS.image_size > cell
    }
    kinds["block-wise, 16 px"] = lambda ratio: masking.BlockMasking(
        ratio, mask_patch_size=16, patch_size=PATCH_SIZE, seed=FLAGS.seed
    )
    kinds["square"] = lambda ratio: masking.SquareMasking(
        ratio, patch_size=PATCH_SIZE, seed=FLAGS.seed
    )
    return kinds


def measure(layer):
    """Returns the true ratio of a masking's masks, and their AvgDist.

    Or None, where cells are so large that this ratio hides all or none.
    """
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    try:
        layer.build((None, *shape))
    except ValueError:
        return None
    masked = layer(np.zeros((FLAGS.num_masks, *shape), "uint8"))
    masked = keras.ops.convert_to_numpy(masked)
    hidden = ops.mask_to_pixels(masked, shape)[..., 0]
    distance = keras.ops.convert_to_numpy(ops.average_distance(hidden))
    return hidden.mean(), distance.mean()


def main(arguments):
    checks.check(arguments)
    if FLAGS.image_size % 16:  # The cells of block-wise masks.
        raise app.UsageError(
            "--image_size must be a multiple of 16. "
            f"Received: --image_size={FLAGS.image_size}"
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5), dpi=120)
    axes = figure.subplots()
    axes.axhspan(10, 20, color="0.9", label="best, says the paper")
    print(f"AvgDist in pixels, images of {FLAGS.image_size} pixels")
    for name, make in make_maskings().items():
        points = [measure(make(float(ratio))) for ratio in RATIOS]
        ratios, distances = zip(*(p for p in points if p is not None))
        axes.plot(ratios, distances, marker=".", label=name)
        print(f"{name:18}", " ".join(f"{d:5.1f}" for d in distances))
    axes.set_xlabel("share of hidden pixels")
    axes.set_ylabel("AvgDist, pixels")
    axes.legend(fontsize=8)
    pathlib.Path(FLAGS.output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FLAGS.output, bbox_inches="tight")
    print(f"Wrote {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
