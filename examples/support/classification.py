"""Classification with a pre-trained encoder: loading it, and reports."""

import pathlib

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mim
from keras_mim.data import ImagePipeline
from support import checks
from support import data
from support import run_folder
from support import training

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(training)
flags.DEFINE_string(
    "encoder", "runs/mae", "Run folder, encoder.keras, or checkpoint."
)
flags.DEFINE_boolean(
    "from_scratch", False, "Start from random weights: what to compare with."
)
flags.DEFINE_integer(
    "image_size", None, "Side of the crops, pixels; None: the encoder's."
)
flags.DEFINE_integer(
    "window_size", None, "Swin: side of a window in tokens; None: its own."
)
flags.DEFINE_float(
    "crop_ratio", 0.875, "Share of the short side that is judged."
)
flags.DEFINE_enum(
    "interpolation", "bicubic", ["bicubic", "bilinear"], "Of the crops."
)


def load_encoder(pooling):
    """Returns the encoder, for images of the size asked for.

    Args:
        pooling: str or `None`. How its tokens are to be pooled.
    """
    try:
        encoder = _load_encoder()
    except ValueError as error:
        raise app.UsageError(f"--encoder={FLAGS.encoder}: {error}") from error
    if pooling == "cls" and not encoder.num_prefix_tokens:
        raise app.UsageError(
            f"--pooling=cls: the encoder of {FLAGS.encoder} has no class token."
        )
    return encoder


def _load_encoder():
    size = FLAGS.image_size
    shape = None if size is None else (size, size, 3)
    # A folder of transformers' layout has none.
    path = pathlib.Path(FLAGS.encoder)
    if (path / "encoder.keras").exists():
        path = path / "encoder.keras"
    if path.suffix == ".keras":
        path = checks.check_file(path, "--encoder")
        model = keras.saving.load_model(path, compile=False)
    else:
        model = keras_mim.converters.from_checkpoint(
            FLAGS.encoder, shape, window_size=FLAGS.window_size
        )
    encoder = getattr(model, "encoder", model)
    # The weights' own precision does not matter.
    changes = {"dtype": FLAGS.precision}
    if shape:
        changes["image_shape"] = shape
    if FLAGS.window_size is not None:
        changes["window_size"] = FLAGS.window_size
    if FLAGS.from_scratch:
        return type(encoder).from_config({**encoder.get_config(), **changes})
    return encoder.copy(**changes)


def judged_split(splits):
    """Returns which split is judged, or None.

    The validation split is, where there is no test split.

    Args:
        splits: dict as `data.find_splits` gives it.

    Returns:
        str: "test" or "validation".
    """
    return next((s for s in ("test", "validation") if splits[s]), None)


def find_classes(batches):
    """Returns the names of the classes of the training batches."""
    names = list(batches.class_names)
    if len(names) < 2:
        raise app.UsageError(
            f"--data={FLAGS.data}: two classes are needed to train. Found: "
            f"{names}. Classes are the folders directly in the training split."
        )
    return names


def plain_batches(encoder, split, class_names=None):
    """Returns `(images, labels)` in order, or None if there is no split.

    Args:
        encoder: `keras_mim.encoders.Encoder`.
        split: str. As in `data.make_dataset`.
        class_names: list of str. Likewise.
    """
    pipeline = ImagePipeline(
        encoder.image_shape,
        FLAGS.batch_size,
        augment=False,
        normalization=encoder.normalization,
        crop_ratio=FLAGS.crop_ratio,
        on_error=data.on_error(),
        interpolation=FLAGS.interpolation,
    )
    batches = data.make_dataset(pipeline, split, True, class_names)
    if batches is not None and FLAGS.data.startswith("tfds:"):
        check_first(batches, split)
    return batches


def check_first(batches, split):
    """Ends the program for a split without labels: now, not after training."""
    import tensorflow as tf

    try:
        next(iter(batches))
    except tf.errors.InvalidArgumentError as error:
        raise app.UsageError(
            f"--data={FLAGS.data}: the {split} split cannot be read. Another "
            f"one is named by --{split}_split. {error.message}"
        ) from error


def accuracies(scores, labels):
    """Returns the shares of images whose class is the first, or among five."""
    order = np.argsort(-scores, axis=-1, kind="stable")
    hits = order[:, :5] == labels[:, None]
    return {
        "top1": round(float(hits[:, 0].mean()), 4),
        "top5": round(float(hits.any(axis=1).mean()), 4),
    }


def make_report(logits, labels):
    """Returns the accuracies of `accuracies`, and the loss."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = float(loss(labels, logits))
    return {**accuracies(logits, labels), "loss": round(loss, 4)}


def describe(report):
    """Returns a report as one line of text."""
    return (
        f"top-1 {100 * report['top1']:.2f} %, "
        f"top-5 {100 * report['top5']:.2f} %, loss {report['loss']:.3f}"
    )


def write_confusion(logits, labels, class_names, path):
    """Draws how often which class is taken for which."""
    from matplotlib.figure import Figure

    counts = np.zeros((len(class_names),) * 2, "int64")
    np.add.at(counts, (labels, np.argmax(logits, axis=-1)), 1)
    figure = Figure(figsize=(7, 6), dpi=120)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    picture = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(picture, label="share of the class")
    axes.set_xlabel("found")
    axes.set_ylabel("is")
    if len(class_names) <= 30:
        places = range(len(class_names))
        axes.set_xticks(places, class_names, rotation=90)
        axes.set_yticks(places, class_names)
        for row, column in np.ndindex(counts.shape):
            dark = shares[row, column] > 0.5
            axes.text(
                column,
                row,
                counts[row, column],
                ha="center",
                va="center",
                color="white" if dark else "black",
                fontsize=7,
            )
    run_folder.save_figure(figure, path, bbox_inches="tight")


def write_classifier(model, folder):
    """Writes classifier.keras and classifier/, the SavedModel to serve."""
    run_folder.save_model(model, folder / "classifier.keras")
    keras_mim.serving.export_classifier(
        model, folder / "classifier", crop_ratio=FLAGS.crop_ratio
    )
    print(
        f"The classifier is in {folder}/classifier.keras, and to serve in "
        f"{folder}/classifier."
    )
