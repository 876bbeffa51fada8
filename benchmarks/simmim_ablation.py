"""Do SimMIM's findings on cells and on its loss hold on small images?

    python benchmarks/simmim_ablation.py --data=cifar10.npz

Pre-trains a small ViT (patches of 4 pixels) by SimMIM, 60 % hidden: in cells of
4, 8 and 16 pixels with the loss on hidden pixels, and in cells of 8 pixels with
the loss on all pixels. harness/small_runs.py says how runs train and how they
are judged. Prints a table: the share that is hidden, the L1 loss on hidden
pixels of test images, and the accuracy of the probe in percent.
"""

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mim
from harness import small_runs

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(small_runs)
FLAGS.set_default("output", "runs/simmim_ablation.jsonl")

# Name -> side of a cell in pixels, loss on all pixels.
ROWS = {
    "untrained": None,
    "cells of 4 px": (4, False),
    "cells of 8 px": (8, False),
    "cells of 16 px": (16, False),
    "cells of 8 px, loss on all pixels": (8, True),
}
COLUMNS = {"hidden_share": ".2f", "hidden_loss": ".3f", "probe": ".1f"}


def hidden_loss(model):
    """Returns the L1 loss on hidden pixels of test images, and their share."""
    images = small_runs.load("test")[0][:1000]
    masked = np.asarray(keras.ops.convert_to_numpy(model.masking(images)))
    prediction = model.predict_patches(images, masked, batch_size=500)
    target = keras.ops.convert_to_numpy(model.target(images))
    return float(np.abs(prediction - target)[masked].mean()), masked.mean()


def run(row, seed):
    cell, on_all_patches = row or (8, False)
    masking = keras_mim.masking.RandomMasking(
        0.6, mask_patch_size=cell, seed=seed
    )
    model = keras_mim.SimMIM(
        small_runs.make_encoder(), masking, loss_on_all_patches=on_all_patches
    )
    if row:
        # SimMIM's crops.
        images = small_runs.batches(
            seed, scale=(0.67, 1.0), interpolation="bilinear"
        )
        small_runs.pre_train(model, images)
    loss, share = hidden_loss(model)
    return {
        "hidden_share": round(float(share), 3),
        "hidden_loss": round(loss, 4),
        "probe": small_runs.probe(model.encoder),
    }


def main(_):
    small_runs.run_all(ROWS, run, COLUMNS)


if __name__ == "__main__":
    app.run(main)
