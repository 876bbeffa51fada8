import keras

from keras_mim._requirements import require
from keras_mim.data import ImagePipeline
from keras_mim.normalization import Normalization


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
        pixels = tf.cast(images, "float32") / 255
        return answer(normalization.normalize(pixels))

    def of_encoded(images):
        pixels = tf.map_fn(
            lambda data: transform.from_file(data, seed=None),
            images,
            fn_output_signature=tf.TensorSpec(shape, "float32"),
        )
        return answer(pixels)

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
