"""Writes a SavedModel under the TensorFlow backend.

Also runs as a program, for encoders trained on another backend:

    python -m keras_mim.serving.saved_model encoder.keras folder '{...}'
"""

import json
import sys

import keras

from keras_mim.data import ImagePipeline
from keras_mim.ops import channel_statistics
from keras_mim.ops import require
from keras_mim.transfer.pooling import pooled


def write_saved_model(encoder, folder, pooling, mean, std, crop_ratio):
    """Writes an encoder's SavedModel; see `export_encoder`."""
    tf = require("tensorflow", "tensorflow")
    shape = encoder.image_shape
    # What validation images go through is what served files go through.
    transform = ImagePipeline(
        shape, 1, augment=False, crop_ratio=crop_ratio, mean=mean, std=std
    ).transform
    mean, std = channel_statistics(shape[-1], mean, std)

    def embed(images):
        tokens = tf.cast(encoder(images, training=False), "float32")
        embedding = pooled(tokens, encoder, pooling)
        return {"embedding": embedding, "tokens": tokens}

    def embed_pixels(images):
        return embed((tf.cast(images, "float32") / 255 - mean) / std)

    def embed_encoded(images):
        pixels = tf.map_fn(
            lambda data: transform.from_file(data, seed=None),
            images,
            fn_output_signature=tf.TensorSpec(shape, "float32"),
        )
        return embed(pixels)

    archive = keras.export.ExportArchive()
    archive.track(encoder)
    for name, dtype in (
        ("serving_default", "float32"),
        ("uint8_images", "uint8"),
    ):
        archive.add_endpoint(
            name,
            embed_pixels,
            [tf.TensorSpec((None, *shape), dtype, name="images")],
        )
    if shape[-1] in (1, 3):
        archive.add_endpoint(
            "encoded_images",
            embed_encoded,
            [tf.TensorSpec((None,), "string", name="images")],
        )
    archive.write_out(folder, verbose=False)


def main():
    # Registers the layers that the file is made of.
    import keras_mim  # noqa: F401

    source, folder, arguments = sys.argv[1:]
    encoder = keras.saving.load_model(source, compile=False)
    write_saved_model(encoder, folder, **json.loads(arguments))


if __name__ == "__main__":
    main()
