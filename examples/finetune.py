"""Fine-tunes a pre-trained encoder to classify images.

    python examples/finetune.py --encoder runs/mae          # bundled photos
    python examples/finetune.py --encoder runs/mae --from_scratch
    python examples/finetune.py --data flowers --image_size 224 \\
        --encoder mae_pretrain_vit_base.pth --layer_decay 0.65
    python examples/finetune.py --data imagenet --encoder simmim.pth \\
        --flagfile=examples/recipes/finetune_simmim_vit_base_800.txt

--encoder is a run folder of pretrain.py, an encoder.keras, or a checkpoint that
somebody published. --data needs classes: an .npz pack, a TFDS data set, or a
folder with a folder per class (or with 'train' and 'val' of those).

Trains on the training split, whose classes are the classes, watches the
validation split, and in the end judges the test split (or the validation split,
if that is all there is). It says which are which: --train_split,
--validation_split and --test_split name others. Writes to --output_dir:
classifier.keras, classifier/ (a SavedModel from pixels or JPEG files to names
of classes), report.json, confusion.png, accuracy.png, history.csv, config.json
and backup/, from which --resume goes on (guides/running.md).
"""

import os

# As in pretrain.py.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
from absl import app
from absl import flags

import keras_mim
from keras_mim.data import FineTuneAugmentation
from keras_mim.data import ImagePipeline
from support import checks
from support import classification
from support import data
from support import run_folder
from support import training

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(training)
flags.adopt_module_key_flags(classification)
FLAGS.set_default("base_learning_rate", 2e-3)
FLAGS.set_default("warmup_epochs", 3)

flags.DEFINE_enum(
    "pooling",
    None,
    ["mean", "cls"],
    "Of the patch tokens, or their class token; None: mean.",
)
flags.DEFINE_float(
    "last_blocks",
    None,
    "Train the last blocks alone, and what follows them: a multiple of 0.5, "
    "which is a block's MLP. None: all of the encoder.",
)
flags.DEFINE_float(
    "layer_decay", 0.75, "What an earlier layer learns at, of the next's rate."
)
flags.DEFINE_float(
    "ema_momentum",
    None,
    "Keep a moving average of the weights, which the run ends with; such as "
    "0.9999. (Validation is of the weights as they are.)",
)
flags.DEFINE_float("drop_path_rate", 0.1, "Stochastic depth in the encoder.")
flags.DEFINE_float(
    "head_stddev", 2e-5, "Deviation of the classifier's first kernel."
)
flags.DEFINE_float("crop_scale", 0.08, "Least share of an image in a crop.")
flags.DEFINE_boolean("rand_augment", True, "Distort as RandAugment does.")
flags.DEFINE_float("erase_rate", 0.25, "Share of images partly erased.")
flags.DEFINE_float("mixup", 0.8, "MixUp's alpha; 0: none.")
flags.DEFINE_float("cutmix", 1.0, "CutMix's alpha; 0: none.")
flags.DEFINE_float("label_smoothing", 0.1, "Share that all classes get.")


def make_datasets(encoder, first_epoch):
    """Returns training batches with mixed labels, validation, and classes."""
    train = training.make_train(
        ImagePipeline(
            encoder.image_shape,
            FLAGS.batch_size,
            normalization=encoder.normalization,
            scale=(FLAGS.crop_scale, 1.0),
            drop_remainder=True,
            seed=FLAGS.seed,
            interpolation=FLAGS.interpolation,
            first_epoch=first_epoch,
        ),
        labels=True,
    )
    class_names = classification.find_classes(train)
    num_classes = len(class_names)
    augmentation = FineTuneAugmentation(
        num_classes,
        FLAGS.rand_augment,
        FLAGS.erase_rate,
        FLAGS.mixup,
        FLAGS.cutmix,
        FLAGS.label_smoothing,
        encoder.normalization,
        seed=FLAGS.seed,
        first_epoch=first_epoch,
    )
    validation = classification.plain_batches(
        encoder, "validation", class_names
    )
    if validation is not None:
        validation = validation.map(
            lambda images, labels: (images, one_hot(labels, num_classes))
        )
    return train.apply(augmentation), validation, class_names


def one_hot(labels, num_classes):
    import tensorflow as tf

    return tf.one_hot(labels, num_classes)


def tell_splits(splits, judged):
    """Prints what is watched and what is judged."""
    watched = splits["validation"]
    nothing = "nothing (--validation_split names what is watched)"
    data.tell_splits(
        splits,
        f"watches {watched or nothing}",
        f"judges on {splits[judged] if judged else 'nothing'}",
    )
    if watched is not None and watched == splits[judged]:
        print(
            f"{watched} is both watched and judged. Nothing is chosen by it "
            "here; but flags that are chosen by its accuracy make that too "
            "high: keep another split for the end (--test_split)."
        )


def check_last_blocks(encoder):
    """Ends the program where --last_blocks are not to be had."""
    number, most = FLAGS.last_blocks, len(encoder.blocks)
    if number is not None and (2 * number % 1 or number > most):
        raise app.UsageError(
            "--last_blocks must be a multiple of 0.5, at most the encoder's "
            f"number of blocks, {most}. Received: --last_blocks={number}"
        )


def make_optimizer(model, steps_per_epoch):
    return keras_mim.optimizers.LayerwiseAdamW(
        training.make_schedule(steps_per_epoch),
        FLAGS.weight_decay,
        learning_rate_scales=keras_mim.transfer.layer_scales(
            model, FLAGS.layer_decay
        ),
        decayed=keras_mim.transfer.decayed_weights(model),
        global_clipnorm=FLAGS.clip_norm,
        use_ema=FLAGS.ema_momentum is not None,
        ema_momentum=FLAGS.ema_momentum or 0.0,
    )


def main(arguments):
    checks.check(arguments)
    training.set_up()
    encoder = classification.load_encoder(FLAGS.pooling)
    check_last_blocks(encoder)
    splits = data.find_splits()
    judged = classification.judged_split(splits)
    tell_splits(splits, judged)
    run = run_folder.open_run("finetune")
    folder = run.folder

    train, validation, class_names = make_datasets(encoder, run.finished_epochs)
    run.keep_classes(class_names)
    # Opened before it is needed: what is wrong with it shows before training.
    test = judged and classification.plain_batches(encoder, judged, class_names)
    model = keras_mim.transfer.Classifier(
        encoder,
        len(class_names),
        FLAGS.pooling,
        FLAGS.drop_path_rate,
        FLAGS.head_stddev,
        class_names,
    )
    if FLAGS.last_blocks is not None:
        keras_mim.transfer.train_last_blocks(model, FLAGS.last_blocks)
    model.compile(
        make_optimizer(model, len(train)),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.CategoricalAccuracy(name="accuracy"),
            keras.metrics.TopKCategoricalAccuracy(
                min(5, len(class_names)), name="top5"
            ),
        ],
        jit_compile=training.jit_compile(),
    )
    model.fit(
        train,
        validation_data=validation,
        epochs=FLAGS.epochs,
        shuffle=False,  # The pipeline does it.
        callbacks=run.make_callbacks(),
    )
    run_folder.write_curve(folder, "accuracy.png", "accuracy", "accuracy")
    classification.write_classifier(model, folder)
    if test is not None:
        answers = keras_mim.transfer.extract_features(model, test)
        report = classification.make_report(*answers)
        report["split"] = splits[judged]
        run_folder.write_json(folder / "report.json", report)
        classification.write_confusion(
            *answers, class_names, folder / "confusion.png"
        )
        print(f"{splits[judged]}: {classification.describe(report)}")
    run.close()


if __name__ == "__main__":
    app.run(main)
