"""Fills hidden patches of images in, with a model from pretrain.py or a paper.

    python examples/reconstruct.py --run runs/mae photo1.jpg photo2.png
    python examples/reconstruct.py --run runs/mae --mask_ratio 0.9 photo.jpg
    python examples/reconstruct.py --mask_ratio 0.75,0.85,0.95 photo.jpg
    python examples/reconstruct.py --run runs/mae --mask_image m.png photo.jpg
    python examples/reconstruct.py --checkpoint mae_visualize_vit_base.pth p.jpg

Writes one picture, a row per image: original, masked, reconstruction, pasted.
With several ratios, what is left and what is filled in for each, as in MAE's
figure 4: one model, given less and less than it was trained with. Images are
cropped in the centre to the size that the model was trained on.
"""

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mim
from keras_mim.callbacks import reconstruction_columns
from keras_mim.callbacks import save_image_grid
from keras_mim.callbacks import save_reconstruction_grid
from support import checks

FLAGS = flags.FLAGS
flags.DEFINE_string("run", "runs/mae", "Run folder, or a model.keras file.")
flags.DEFINE_string(
    "checkpoint",
    None,
    "A published checkpoint instead of a run: a file of MAE's with decoder, a "
    "folder in transformers' layout, or 'hf://owner/name'.",
)
flags.DEFINE_boolean(
    "norm_pix",
    None,
    "Whether --checkpoint predicts normalised pixels; None: all do but the "
    "mae_visualize files, unless transformers' config.json says otherwise.",
)
flags.DEFINE_string("output", "reconstructions.png", "The PNG to write.")
flags.DEFINE_list(
    "mask_ratio", None, "Shares that are hidden; None: as in training."
)
flags.DEFINE_string(
    "mask_image",
    None,
    "A black-and-white picture: patches that are white in it are hidden, in "
    "every image.",
)
flags.DEFINE_integer("seed", 0, "Seed of the random masks.")
flags.mark_flags_as_mutual_exclusive(["mask_ratio", "mask_image"])


def load_model():
    if FLAGS.checkpoint:
        model = keras_mim.converters.from_checkpoint(
            FLAGS.checkpoint, normalize=FLAGS.norm_pix
        )
        if not isinstance(model, keras_mim.MaskedImageModel):
            raise app.UsageError(
                f"--checkpoint: {FLAGS.checkpoint} holds an encoder and no "
                "decoder, so it cannot fill anything in. MAE's files with one "
                "are called mae_visualize_* and mae_pretrain_*_full."
            )
        return model
    path = checks.find_model(FLAGS.run, "model.keras", "run")
    return keras.saving.load_model(path)


def load_images(paths, encoder):
    """Reads image files as the encoder takes them, cropped in the center."""
    channels = encoder.image_shape[-1]
    if channels not in (1, 3):
        raise app.UsageError(
            "Image files have 1 or 3 channels; this model takes "
            f"{channels}. Call model.reconstruct(array) instead."
        )
    return keras_mim.data.read_images(
        paths, encoder.image_shape, normalization=encoder.normalization
    )


def mask_from_image(encoder):
    """Returns a boolean array `(num_patches,)` of --mask_image."""
    (picture,) = keras_mim.data.read_images(
        [FLAGS.mask_image], (*encoder.image_shape[:2], 1), dtype="uint8"
    )
    hidden = picture[..., 0] > 127
    return keras_mim.ops.mask_from_picture(hidden, encoder.patch_size)


def random_masks(model, images, mask_ratio=None):
    """Returns a boolean array `(num_images, num_patches)`, True = hidden."""
    config = {**model.masking.get_config(), "seed": FLAGS.seed}
    if mask_ratio is not None:
        if "mask_ratio" not in config:
            raise app.UsageError(
                f"--mask_ratio: {type(model.masking).__name__}, which the "
                "model was trained with, has no other ratio."
            )
        config["mask_ratio"] = float(mask_ratio)
    masking = type(model.masking).from_config(config)
    return keras.ops.convert_to_numpy(masking(images))


def write_ratios(model, images):
    """Writes the picture of several ratios."""
    columns = {}
    for ratio in FLAGS.mask_ratio:
        masked = random_masks(model, images, ratio)
        result = model.reconstruct(images, masked)
        shown = reconstruction_columns(result, model.encoder.normalization)
        columns.setdefault("original", shown["original"])
        columns[f"{masked.mean():.0%} hidden"] = shown["masked"]
        columns[f"{masked.mean():.0%}, filled in"] = shown["pasted"]
    save_image_grid(columns, FLAGS.output)
    print(f"{', '.join(list(columns)[1::2])}. Wrote {FLAGS.output}")


def main(arguments):
    paths = checks.check(arguments, takes_files=True)
    if not paths:
        raise app.UsageError("Name one or more image files.")
    model = load_model()
    encoder = model.encoder
    images = load_images(paths, encoder)
    ratios = FLAGS.mask_ratio or [None]
    if len(ratios) > 1:
        return write_ratios(model, images)
    if FLAGS.mask_image:
        masked = np.tile(mask_from_image(encoder), (len(images), 1))
    else:
        masked = random_masks(model, images, ratios[0])
    result = model.reconstruct(images, masked)
    save_reconstruction_grid(result, FLAGS.output, encoder.normalization)
    print(f"{masked.mean():.0%} of the patches hidden. Wrote {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
