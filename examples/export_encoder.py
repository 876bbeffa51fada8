"""Exports a pre-trained encoder as a SavedModel for serving.

    python examples/export_encoder.py --run runs/mae --output served

From whichever backend it was trained on. The result needs tensorflow alone:

    import tensorflow as tf
    model = tf.saved_model.load("served")
    jpeg = open("photo.jpg", "rb").read()
    model.signatures["encoded_images"](images=tf.constant([jpeg]))["embedding"]
"""

import keras
from absl import app
from absl import flags

import keras_mim
from support import checks

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "run", "runs/mae", "Run folder, or a model.keras or encoder.keras file."
)
flags.DEFINE_string("output", "served_encoder", "Folder to write.")
flags.DEFINE_enum(
    "pooling",
    None,
    ["cls", "mean"],
    "What the embedding is: the class token, or the mean of patch tokens; "
    "None: the class token where the encoder has one.",
)
flags.DEFINE_float(
    "crop_ratio", 0.875, "Share of the short side kept of image files."
)


def main(arguments):
    checks.check(arguments)
    path = checks.find_model(FLAGS.run, "encoder.keras", "run")
    model = keras.saving.load_model(path, compile=False)
    if isinstance(model, keras_mim.MaskedImageModel):
        model = model.encoder
    keras_mim.serving.export_encoder(
        model, FLAGS.output, FLAGS.pooling, crop_ratio=FLAGS.crop_ratio
    )
    print(f"Wrote {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
