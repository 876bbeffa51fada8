"""Fine-tunes a pre-trained encoder to classify images.

    python examples/finetune.py --encoder runs/mae          # bundled photos
    python examples/finetune.py --encoder runs/mae --from_scratch
    python examples/finetune.py --data flowers --image_size 224 \\
        --encoder mae_pretrain_vit_base.pth --layer_decay 0.65
    python examples/finetune.py --data imagenet --encoder simmim.pth \\
        --flagfile=examples/recipes/finetune_simmim_vit_base.txt

--encoder is a run folder of pretrain.py, an encoder.keras, or a checkpoint that
somebody published. --data needs classes: an .npz pack, a TFDS data set, or a
folder with a folder per class (or with 'train' and 'val' of those).

Trains on the training split, watches the validation split, and in the end
judges the test split, if there are these. Writes to --output_dir:
classifier.keras, report.json, confusion.png, accuracy.png, history.csv and
config.json.
"""

import os
import pathlib

# As in pretrain.py.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import training
from absl import app
from absl import flags

import keras_mim
from keras_mim.data import FineTuneAugmentation
from keras_mim.data import ImagePipeline

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(training)
FLAGS.set_default("base_learning_rate", 2e-3)
FLAGS.set_default("warmup_epochs", 3)

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
flags.DEFINE_enum(
    "pooling", "mean", ["mean", "cls"], "Of the patch tokens, or their class."
)
flags.DEFINE_float(
    "layer_decay", 0.75, "What an earlier layer learns at, of the next's rate."
)
flags.DEFINE_float("drop_path_rate", 0.1, "Stochastic depth in the encoder.")
flags.DEFINE_float(
    "head_stddev", 2e-5, "Deviation of the classifier's first kernel."
)
flags.DEFINE_float("crop_scale", 0.08, "Least share of an image in a crop.")
flags.DEFINE_float(
    "crop_ratio", 0.875, "Share of the short side that is judged."
)
flags.DEFINE_enum(
    "interpolation", "bicubic", ["bicubic", "bilinear"], "Of the crops."
)
flags.DEFINE_boolean("rand_augment", True, "Distort as RandAugment does.")
flags.DEFINE_float("erase_rate", 0.25, "Share of images partly erased.")
flags.DEFINE_float("mixup", 0.8, "MixUp's alpha; 0: none.")
flags.DEFINE_float("cutmix", 1.0, "CutMix's alpha; 0: none.")
flags.DEFINE_float("label_smoothing", 0.1, "Share that all classes get.")


def load_encoder():
    """Returns the encoder, for images of the size asked for."""
    path = pathlib.Path(FLAGS.encoder)
    path = path / "encoder.keras" if path.is_dir() else path
    size = FLAGS.image_size
    shape = size and (size, size, 3)
    if path.suffix == ".keras":
        if not path.exists():
            raise app.UsageError(f"--encoder: there is no {path}")
        model = keras.saving.load_model(path, compile=False)
    else:
        model = keras_mim.converters.from_checkpoint(
            FLAGS.encoder, shape, window_size=FLAGS.window_size
        )
    encoder = getattr(model, "encoder", model)
    config = {
        **encoder.get_config(),
        "image_shape": shape or encoder.image_shape,
        # The weights' precision is no matter of theirs.
        "dtype": FLAGS.precision,
    }
    if FLAGS.window_size:
        config["window_size"] = FLAGS.window_size
    rebuilt = type(encoder).from_config(config)
    if not FLAGS.from_scratch:
        keras_mim.converters.load_encoder(rebuilt, encoder)
    return rebuilt


def make_datasets(image_shape, num_classes, seed):
    """Returns training batches with mixed labels, validation and test."""
    train = training.make_train(
        ImagePipeline(
            image_shape,
            FLAGS.batch_size,
            scale=(FLAGS.crop_scale, 1.0),
            drop_remainder=True,
            seed=seed,
            interpolation=FLAGS.interpolation,
        ),
        labels=True,
    )
    augmentation = FineTuneAugmentation(
        num_classes,
        FLAGS.rand_augment,
        FLAGS.erase_rate,
        FLAGS.mixup,
        FLAGS.cutmix,
        FLAGS.label_smoothing,
        seed=seed,
    )
    plain = ImagePipeline(
        image_shape,
        FLAGS.batch_size,
        augment=False,
        crop_ratio=FLAGS.crop_ratio,
        on_error="raise" if training.is_pack(FLAGS.data) else "skip",
        interpolation=FLAGS.interpolation,
    )
    judged = []
    for split in ("validation", "test"):
        batches = training.make_dataset(plain, FLAGS.data, split, labels=True)
        if batches is not None:
            batches = batches.map(
                lambda images, labels: (images, one_hot(labels, num_classes))
            )
        judged.append(batches)
    return train.map(augmentation, num_parallel_calls=2).prefetch(2), *judged


def one_hot(labels, num_classes):
    import tensorflow as tf

    return tf.one_hot(labels, num_classes)


def make_optimizer(model, steps_per_epoch):
    return keras_mim.optimizers.LayerwiseAdamW(
        training.make_schedule(steps_per_epoch),
        FLAGS.weight_decay,
        learning_rate_scales=keras_mim.transfer.layer_scales(
            model, FLAGS.layer_decay
        ),
        decayed=keras_mim.transfer.decayed_weights(model),
        global_clipnorm=FLAGS.clip_norm,
    )


def write_confusion(model, batches, class_names, path):
    """Draws how often which class is taken for which."""
    from matplotlib.figure import Figure

    counts = np.zeros((len(class_names),) * 2, "int64")
    for images, labels in batches:
        found = np.argmax(model.predict_on_batch(np.asarray(images)), axis=-1)
        np.add.at(counts, (np.argmax(labels, axis=-1), found), 1)
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
    figure.savefig(path, bbox_inches="tight")


def main(_):
    folder, finished_epochs = training.open_run("finetune")
    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(FLAGS.precision)
    class_names = training.find_classes(FLAGS.data)

    encoder = load_encoder()
    train, validation, test = make_datasets(
        encoder.image_shape,
        len(class_names),
        # A resumed run draws other crops than the epochs it has behind it.
        FLAGS.seed + finished_epochs,
    )
    model = keras_mim.transfer.Classifier(
        encoder,
        len(class_names),
        FLAGS.pooling,
        FLAGS.drop_path_rate,
        FLAGS.head_stddev,
    )
    model.compile(
        make_optimizer(model, len(train)),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.CategoricalAccuracy(name="accuracy"),
            keras.metrics.TopKCategoricalAccuracy(
                min(5, len(class_names)), name="top5"
            ),
        ],
        jit_compile="auto" if FLAGS.jit_compile is None else FLAGS.jit_compile,
    )
    model.fit(
        train,
        validation_data=validation,
        epochs=FLAGS.epochs,
        shuffle=False,  # The pipeline does it.
        callbacks=training.make_callbacks(folder),
    )
    model.save(folder / "classifier.keras")
    training.write_curve(
        folder / "history.csv", folder / "accuracy.png", "accuracy", "accuracy"
    )
    if test is not None:
        report = model.evaluate(test, verbose=0, return_dict=True)
        training.write_json(folder / "report.json", report)
        write_confusion(model, test, class_names, folder / "confusion.png")
        split = training.find_split(FLAGS.data, "test")
        print(
            f"{split}: top-1 {100 * report['accuracy']:.2f} %, top-5 "
            f"{100 * report['top5']:.2f} %, loss {report['loss']:.3f}"
        )
    print(f"The classifier is in {folder}/classifier.keras.")


if __name__ == "__main__":
    app.run(main)
