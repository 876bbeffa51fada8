"""What does a LiteRT file weigh and lose?

    python benchmarks/export_litert.py --classifier=runs/classifier.keras

A small ViT is trained on photographs (--classifier keeps it, and is read where
it is there already), and names those of the test split: in Keras, and in the
files that `export_litert` writes, in LiteRT's runtime. Beside them "int8, fixed
ranges": what LiteRT calls full integer quantization, calibrated by training
images. The library does not offer it, for these numbers.

Needs `pip install "keras-mim[litert,data]"`. (This file is not `litert.py`:
TensorFlow imports a module of that name where it finds one.)
"""

import os
import pathlib
import tempfile

import numpy as np
from absl import app
from absl import flags

from harness.results import describe
from harness.results import write

FLAGS = flags.FLAGS
BUNDLED = pathlib.Path(__file__).parents[1] / "examples/data/clothing64.npz"
flags.DEFINE_string("data", str(BUNDLED), "Pack with train and test splits.")
flags.DEFINE_string("classifier", None, "File of the trained classifier.")
flags.DEFINE_integer("epochs", 12, "Epochs that it is trained for.")
flags.DEFINE_integer("calibration", 128, "Images that fix ranges.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")


def interpreter(path):
    """Returns a function of images: a file in LiteRT's runtime."""
    from ai_edge_litert.interpreter import Interpreter

    opened = Interpreter(str(path), num_threads=os.cpu_count())
    run = opened.get_signature_runner("serving_default")
    return lambda images: run(images=images)


def load(split):
    """Returns a split's pixels, as bytes, and labels."""
    from keras_mim.data import ImagePipeline

    pipeline = ImagePipeline(
        (64, 64, 3), 500, augment=False, crop_ratio=1.0, dtype="uint8"
    )
    pairs = pipeline.from_pack(FLAGS.data, split, labels=True)
    images, labels = zip(*(map(np.asarray, pair) for pair in pairs))
    return np.concatenate(images), np.concatenate(labels)


def train_classifier():
    import keras

    import keras_mim

    keras.utils.set_random_seed(0)
    images, labels = load("train")
    encoder = keras_mim.encoders.ViT(
        (64, 64, 3),
        patch_size=8,
        hidden_dim=96,
        num_layers=4,
        num_heads=3,
        mlp_dim=384,
    )
    model = keras_mim.transfer.Classifier(
        encoder, int(labels.max()) + 1, head_stddev=0.02
    )
    steps = FLAGS.epochs * -(-len(images) // 64)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=1e-3, warmup_steps=steps // 10
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Keras's own choice is no XLA where there is no GPU.
    model.compile(keras.optimizers.AdamW(rate, 0.05), loss, jit_compile=True)
    model.fit(images, labels, batch_size=64, epochs=FLAGS.epochs, verbose=2)
    return model


def fixed_ranges(model, path, images):
    """Writes what the library does not offer: calibrated, all in integers."""
    from unittest import mock

    import tensorflow as tf

    from keras_mim import serving

    def show():
        for image in images.astype("float32"):
            yield {"images": image[None]}

    convert = tf.lite.TFLiteConverter.from_saved_model

    def calibrated(*arguments, **more):
        converter = convert(*arguments, **more)
        converter.representative_dataset = show
        return converter

    with mock.patch.object(
        tf.lite.TFLiteConverter, "from_saved_model", calibrated
    ):
        serving.export_litert(model, path, "int8")


def judge_classifier():
    """Returns what a classifier and its files make of the test split."""
    import keras

    import keras_mim

    path = pathlib.Path(FLAGS.classifier or "")
    if path.is_file():
        model = keras.saving.load_model(path)
    else:
        model = train_classifier()
        if FLAGS.classifier:
            model.save(path)
    images, labels = load("test")
    expected = model.predict(images, batch_size=64, verbose=0)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(expected))
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: pathlib.Path(folder) / f"{number}.tflite"
            for number, name in enumerate(
                ("float32", "int8", "int8, fixed ranges")
            )
        }
        keras_mim.serving.export_litert(model, files["float32"])
        keras_mim.serving.export_litert(model, files["int8"], "int8")
        some = load("train")[0]
        some = some[np.random.default_rng(0).permutation(len(some))]
        fixed_ranges(
            model, files["int8, fixed ranges"], some[: FLAGS.calibration]
        )
        found = {"keras": expected}
        for name, file in files.items():
            run = interpreter(file)
            found[name] = np.concatenate(
                [
                    run(images[i : i + 31].astype("float32"))["probabilities"]
                    for i in range(0, len(images), 31)
                ]
            )
        sizes = {name: file.stat().st_size for name, file in files.items()}
    result = {"images": len(labels)}
    for name, shares in found.items():
        classes = shares.argmax(axis=-1)
        result[name] = {
            "right": int((classes == labels).sum()),
            "as_keras": int((classes == expected.argmax(axis=-1)).sum()),
            "largest_difference": float(np.abs(shares - expected).max()),
            "mean_difference": float(np.abs(shares - expected).mean()),
            "megabytes": round(sizes.get(name, 0) / 1e6, 3) or None,
        }
        print(name, result[name], flush=True)
    return result


def main(_):
    result = {
        "question": "accuracy and size of LiteRT files",
        **describe(FLAGS, ("tensorflow", "ai-edge-litert")),
        "classifier": judge_classifier(),
    }
    write(FLAGS.output, result)


if __name__ == "__main__":
    app.run(main)
