"""Hides random cells, most of an object, and the whole object, and fills in.

    python examples/object_masks.py --run runs/simmim
    python examples/object_masks.py --run runs/simmim photo.jpg photo_mask.png

Photos come in pairs with a black-and-white picture of the object in them, white
where it is; without any, four bundled ones of clothes that pretrain.py does not
train on. Writes one picture, a row per photo: the three masks, and what the
model makes of each (SimMIM's figure of its recovered images).
"""

import pathlib

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mim
from keras_mim.callbacks import reconstruction_columns
from keras_mim.callbacks import save_image_grid
from support import checks

BUNDLED = pathlib.Path(__file__).parent / "data/objects"

FLAGS = flags.FLAGS
flags.DEFINE_string("run", "runs/simmim", "Run folder, or a model.keras file.")
flags.DEFINE_string("output", "object_masks.png", "The PNG to write.")
flags.DEFINE_float("mask_ratio", 0.6, "Share of random cells; SimMIM's.")
flags.DEFINE_float("share", 0.8, "What 'most' of an object is.")
flags.DEFINE_integer(
    "mask_patch_size",
    None,
    "Side of a cell in pixels; None: as the model was trained.",
)
flags.DEFINE_integer("seed", 0, "Seed of the masks.")


def make_masks(picture, encoder, cell):
    """Returns the three masks for a picture of an object, by name."""
    everything = np.ones_like(picture)
    settings = {
        "random cells": (everything, FLAGS.mask_ratio),
        "most of it": (picture, FLAGS.share),
        "all of it": (picture, 1.0),
    }
    return {
        name: keras_mim.ops.mask_from_picture(
            where, encoder.patch_size, cell, share, FLAGS.seed
        )
        for name, (where, share) in settings.items()
    }


def main(arguments):
    paths = checks.check(arguments, takes_files=True)
    if not paths:
        masks = sorted(BUNDLED.glob("*_mask.png"))
        pairs = [(str(m).replace("_mask.png", ".jpg"), m) for m in masks]
    elif len(paths) % 2:
        raise app.UsageError("Name pairs: a photo, and its object's picture.")
    else:
        pairs = list(zip(paths[::2], paths[1::2]))
    model_path = checks.find_model(FLAGS.run, "model.keras", "run")
    model = keras.saving.load_model(model_path)
    shape = model.encoder.image_shape
    if shape[-1] != 3:
        raise app.UsageError(f"--run: {model_path} takes {shape[-1]} channels.")
    cell = FLAGS.mask_patch_size
    if cell is None:
        cell = model.masking.get_config().get("mask_patch_size")
    normalization = model.encoder.normalization
    rows = []
    for photo, picture in pairs:
        (image,) = keras_mim.data.read_images(
            [photo], shape, normalization=normalization
        )
        (where,) = keras_mim.data.read_images(
            [picture], (*shape[:2], 1), dtype="uint8"
        )
        hidden = where[..., 0] > 127
        row = {}
        for name, masked in make_masks(hidden, model.encoder, cell).items():
            result = model.reconstruct(image[None], masked)
            columns = reconstruction_columns(result, normalization)
            row.setdefault("original", columns["original"])
            row[name] = columns["masked"]
            row[f"{name}, filled in"] = columns["pasted"]
        rows.append(row)
    columns = {
        name: np.concatenate([row[name] for row in rows]) for name in rows[0]
    }
    save_image_grid(columns, FLAGS.output)
    print(f"Wrote {FLAGS.output}: {len(rows)} photos, three masks each.")


if __name__ == "__main__":
    app.run(main)
