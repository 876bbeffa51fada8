"""What does a LiteRT file weigh, take and lose?

    python benchmarks/export_litert.py --turns=20
    python benchmarks/export_litert.py --classifier=runs/classifier.keras

Sizes and latency: an encoder in float32 and in int8 (`export_litert`), in
LiteRT's runtime without TensorFlow, against its SavedModel (`export_encoder`),
images to embeddings. Each is a process of its own on all cores; they take
turns, a call each.

Accuracy: a small ViT is trained on photographs (--classifier keeps it, and is
read where it is there already), and names those of the test split: in Keras,
and in the files that `export_litert` writes. Beside them "int8, fixed ranges":
what LiteRT calls full integer quantization, calibrated by training images. The
library does not offer it, for these numbers.

Needs `pip install "keras-mim[litert,data]"`. (This file is not `litert.py`:
TensorFlow imports a module of that name where it finds one.)
"""

import os
import pathlib
import statistics
import tempfile

import numpy as np
from absl import app
from absl import flags

from harness.results import describe
from harness.results import write
from harness.turns import median_ratio
from harness.turns import serve
from harness.turns import take_turns

FLAGS = flags.FLAGS
BUNDLED = pathlib.Path(__file__).parents[1] / "examples/data/clothing64.npz"
SIDES = ("saved_model", "litert", "litert_int8")
flags.DEFINE_list("encoders", ["vit_base", "swin_tiny"], "Which to time.")
flags.DEFINE_integer("batch_size", 1, "Images per call.")
flags.DEFINE_integer("turns", 20, "Calls of each side.")
flags.DEFINE_string("data", str(BUNDLED), "Pack with train and test splits.")
flags.DEFINE_string("classifier", None, "File of the trained classifier.")
flags.DEFINE_integer("epochs", 12, "Epochs that it is trained for.")
flags.DEFINE_integer("calibration", 128, "Images that fix ranges.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_string("worker", None, "Internal: run one side.")


def make_encoder(name):
    from keras_mim import encoders

    kind, size = name.split("_")
    encoder = {"vit": encoders.ViT, "swin": encoders.Swin}[kind]
    return encoder.from_size(size, (224, 224, 3))


def interpreter(path):
    """Returns a function of images: a file in LiteRT's runtime."""
    from ai_edge_litert.interpreter import Interpreter

    opened = Interpreter(str(path), num_threads=os.cpu_count())
    run = opened.get_signature_runner("serving_default")
    return lambda images: run(images=images)


def run_side(name, folder):
    shape = (FLAGS.batch_size, 224, 224, 3)
    x = np.random.uniform(0, 255, shape).astype("float32")
    if name == "saved_model":
        import tensorflow as tf

        loaded = tf.saved_model.load(folder / name)
        answer, x = loaded.signatures["serving_default"], tf.constant(x)

        def call():
            return answer(images=x)["embedding"].numpy()
    else:
        answer = interpreter(folder / f"{name}.tflite")

        def call():
            return answer(x)["embedding"]

    def run_steps(number):
        for _ in range(number):
            call()

    serve(run_steps, 1)


def bytes_of(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def time_encoder(name):
    """Returns sizes and times of an encoder's files."""
    from keras_mim import serving

    encoder = make_encoder(name)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        serving.export_encoder(encoder, folder / "saved_model")
        serving.export_litert(encoder, folder / "litert.tflite")
        serving.export_litert(encoder, folder / "litert_int8.tflite", "int8")
        sizes = {
            side: bytes_of(folder / side)
            if side == "saved_model"
            else bytes_of(folder / f"{side}.tflite")
            for side in SIDES
        }
        os.environ["EXPORTED"] = str(folder)
        seconds, rate = take_turns(SIDES, FLAGS.turns, 1)
    result = {"matmul_gflop_per_second": rate}
    for side in SIDES:
        result[side] = {
            "megabytes": round(sizes[side] / 1e6, 1),
            "p50_ms": round(1e3 * statistics.median(seconds[side]), 1),
            "over_saved_model": round(
                median_ratio(seconds["saved_model"], seconds[side]), 2
            ),
            "seconds": [round(s, 4) for s in seconds[side]],
        }
        shown = {k: v for k, v in result[side].items() if k != "seconds"}
        print(name, side, shown, flush=True)
    return result


def load(split):
    """Returns a split's pixels, bytes as float32, and labels."""
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
        sizes = {name: bytes_of(file) for name, file in files.items()}
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
    if FLAGS.worker:
        return run_side(FLAGS.worker, pathlib.Path(os.environ["EXPORTED"]))
    result = {
        "question": "size, latency and accuracy of LiteRT files",
        **describe(FLAGS, ("tensorflow", "ai-edge-litert")),
        "classifier": judge_classifier(),
    }
    for name in FLAGS.encoders:
        result[name] = time_encoder(name)
        # What has been measured stays, whatever comes.
        write(FLAGS.output, result)
    write(FLAGS.output, result)


if __name__ == "__main__":
    app.run(main)
