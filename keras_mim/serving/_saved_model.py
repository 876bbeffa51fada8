import keras

from keras_mim._requirements import require
from keras_mim.data import ImagePipeline
from keras_mim.normalization import Normalization


def decode_each(images, transform):
    """Decodes the images of a request, each in its own right.

    Args:
        images: string tensor of shape `(batch_size,)`, contents of files.
        transform: `ImageTransform`.

    Returns:
        Float32 pixels of shape `(batch_size, *image_shape)`, zeros where a
        file cannot be read, and whether it can, of shape `(batch_size,)`.
    """
    tf = require("tensorflow", "tensorflow")
    count = tf.size(images, "int64")

    def decode(position, data):
        return position, transform.from_file(data, seed=None)

    files = tf.data.Dataset.from_tensor_slices(images).enumerate()
    decoded = files.map(decode, tf.data.AUTOTUNE).ignore_errors()
    # Behind the last, so that there is a batch if no file can be read.
    nothing = tf.zeros(transform.image_shape)
    decoded = decoded.concatenate(
        tf.data.Dataset.from_tensors((count, nothing))
    )
    positions, pixels = decoded.batch(count + 1).get_single_element()
    pixels = tf.scatter_nd(
        positions[:, None], pixels, (count + 1, *transform.image_shape)
    )
    valid = tf.reduce_any(positions[:-1, None] == tf.range(count), axis=0)
    return pixels[:-1], valid


def write(model, path, normalization, crop_ratio, class_names):
    """Writes a model's SavedModel; see `export_model` and `write_model`."""
    tf = require("tensorflow", "tensorflow")
    shape = model.input_shape[1:]
    normalization = Normalization.from_config(normalization)
    # What validation images go through is what served files go through.
    transform = ImagePipeline(
        shape,
        1,
        augment=False,
        crop_ratio=crop_ratio,
        normalization=normalization,
    ).transform

    def answer(images):
        outputs = model(images, training=False)
        if class_names:
            best = tf.argmax(outputs["probabilities"], axis=-1)
            outputs["class_name"] = tf.gather(tf.constant(class_names), best)
        return outputs

    def of_pixels(images):
        # Callers of the file are not held to the signature's shape.
        images = tf.ensure_shape(images, (None, *shape))
        pixels = tf.cast(images, "float32") / 255
        return answer(normalization.normalize(pixels))

    def of_encoded(images):
        pixels, valid = decode_each(images, transform)
        outputs = {"valid": valid}
        for name, output in answer(pixels).items():
            marks = tf.reshape(valid, (-1, *[1] * (len(output.shape) - 1)))
            outputs[name] = tf.where(marks, output, tf.zeros_like(output))
        return outputs

    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, dtype in (
        ("serving_default", "float32"),
        ("uint8_images", "uint8"),
    ):
        archive.add_endpoint(
            name,
            of_pixels,
            [tf.TensorSpec((None, *shape), dtype, name="images")],
        )
    if shape[-1] in (1, 3):
        archive.add_endpoint(
            "encoded_images",
            of_encoded,
            [tf.TensorSpec((None,), "string", name="images")],
        )
    if class_names:
        archive.add_endpoint(
            "class_names",
            lambda: {"class_names": tf.constant(class_names)},
            [],
        )
    archive.write_out(path, verbose=False)
