"""Judges a pre-trained encoder as it is: linear probe and nearest neighbours.

    python examples/linear_probe.py --encoder runs/mae          # bundled photos
    python examples/linear_probe.py --encoder runs/mae --from_scratch
    python examples/linear_probe.py --data flowers --pooling cls \\
        --encoder mae_pretrain_vit_base.pth
    python examples/linear_probe.py --data imagenet --pooling cls --augment \\
        --encoder mae_pretrain_vit_base.pth --learning_rates 0.1 \\
        --batch_size 16384

--encoder and --data are as finetune.py has them. The encoder is frozen. Its
features of all images are computed once, and linear layers are fitted on them
by LARS, as in MAE, one for each of --learning_rates; the validation split tells
which is taken (or a tenth of the training images, if there is none apart from
the split to judge on). With --augment each epoch sees new crops instead, as in
the paper: hours instead of minutes.

On the same features: nearest neighbours, and a logistic regression on all
images and on --shares of them. The test split is what all are judged on, or the
validation split, if that is all there is; --train_split, --validation_split and
--test_split name others. Writes to --output_dir: report.json, confusion.png,
classifier.keras, classifier/ (a SavedModel from pixels or JPEG files to names
of classes), history.csv and config.json. Needs scikit-learn.
"""

import os

# As in pretrain.py.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mim
from keras_mim import transfer
from keras_mim.data import ImagePipeline
from support import checks
from support import classification
from support import data
from support import run_folder
from support import training

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(training)
flags.adopt_module_key_flags(classification)
# MAE's: its base learning rate is 0.1.
FLAGS.set_default("base_learning_rate", 0.1)
FLAGS.set_default("epochs", 90)
FLAGS.set_default("warmup_epochs", 10)
FLAGS.set_default("weight_decay", 0.0)
FLAGS.set_default("batch_size", 256)
flags.DEFINE_enum(
    "pooling",
    None,
    ["mean", "cls"],
    "Of the patch tokens, or their class token, as MAE's numbers are; None: "
    "the class token where the encoder has one.",
)
flags.DEFINE_list(
    "learning_rates",
    ["0.1", "0.3", "1", "3", "10", "30", "100"],
    "To choose from, per 256 images of a batch. (--base_learning_rate is not "
    "used.)",
)
flags.DEFINE_boolean("augment", False, "New crops in each epoch.")
flags.DEFINE_list(
    "neighbors", ["10", "20", "200"], "Numbers of nearest neighbours."
)
flags.DEFINE_list(
    "shares", ["0.01", "0.1"], "Shares of the labels for the low-shot runs."
)
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compile_with_lars(model, num_images, scales=None):
    steps_per_epoch = -(-num_images // FLAGS.batch_size)
    optimizer = keras_mim.optimizers.LARS(
        training.make_schedule(steps_per_epoch),
        FLAGS.weight_decay,
        learning_rate_scales=scales,
    )
    model.compile(optimizer, SPARSE, metrics=["accuracy"])


def fit_on_features(probe, train, validation, run):
    """Fits a layer per learning rate, and gives the best one to the probe."""
    features, labels = train
    rates = [float(rate) for rate in FLAGS.learning_rates]
    factors = [rate / FLAGS.base_learning_rate for rate in rates]
    sweep = transfer.LinearProbeSweep(
        features.shape[1], probe.num_classes, factors
    )
    compile_with_lars(sweep, len(labels), sweep.learning_rate_scales)
    sweep.fit(
        features,
        labels,
        batch_size=FLAGS.batch_size,
        epochs=FLAGS.epochs,
        verbose=0,
        callbacks=run.make_callbacks(),
    )
    held_out, truth = validation
    logits = sweep.predict(held_out, verbose=0)
    top1 = [
        classification.accuracies(logits[:, i], truth)["top1"]
        for i in range(len(rates))
    ]
    best = int(np.argmax(top1))
    probe.head.set_weights(sweep.head_weights(best))
    by_rate = ", ".join(f"{r:g}: {100 * x:.2f}" for r, x in zip(rates, top1))
    print(f"validation top-1 in % by learning rate: {by_rate}")
    return rates[best]


def fit_on_crops(probe, run):
    """Fits the probe as in MAE's paper, on crops (and one learning rate)."""
    FLAGS.base_learning_rate = float(FLAGS.learning_rates[0])
    train = training.make_train(
        ImagePipeline(
            probe.encoder.image_shape,
            FLAGS.batch_size,
            normalization=probe.encoder.normalization,
            scale=(0.08, 1.0),
            drop_remainder=True,
            seed=FLAGS.seed,
            interpolation=FLAGS.interpolation,
            first_epoch=run.finished_epochs,
        ),
        labels=True,
        class_names=probe.class_names,
    )
    compile_with_lars(probe, len(train) * FLAGS.batch_size)
    probe.fit(
        train,
        epochs=FLAGS.epochs,
        shuffle=False,  # The pipeline does it.
        callbacks=run.make_callbacks(),
    )
    return FLAGS.base_learning_rate


def report_on_features(train, test, num_classes):
    """Returns the accuracies of neighbours and of logistic regressions."""
    features, labels = train
    queries, truth = test
    report = {"knn": {}, "logistic": {}}
    counts = [int(n) for n in FLAGS.neighbors if int(n) <= len(labels)]
    votes = (
        transfer.knn_votes(features, labels, queries, num_classes, counts)
        if counts
        else []
    )
    for count, scores in zip(counts, votes):
        report["knn"][str(count)] = classification.accuracies(scores, truth)
    for share in [*FLAGS.shares, "1"]:
        drawn = transfer.few_labels(labels, float(share), FLAGS.seed)
        scores = transfer.logistic_votes(
            features[drawn], labels[drawn], queries, num_classes
        )
        report["logistic"][share] = {
            "images": len(drawn),
            **classification.accuracies(scores, truth),
        }
    return report


def main(arguments):
    checks.check(arguments)
    if FLAGS.augment and len(FLAGS.learning_rates) > 1:
        raise app.UsageError("--augment takes one of --learning_rates.")
    training.set_up()
    encoder = classification.load_encoder(FLAGS.pooling)
    splits = data.find_splits()
    judged = classification.judged_split(splits)
    if judged is None:
        raise app.UsageError(f"--data={FLAGS.data} has nothing to judge on.")
    chosen_on = splits["validation"]
    if chosen_on in (None, splits[judged]):
        chosen_on = f"a tenth of {splits['train']}"
    if FLAGS.augment:
        chosen_on = None
    data.tell_splits(
        splits,
        f"chooses the learning rate by {chosen_on or 'nothing'}",
        f"judges on {splits[judged]}",
    )
    run = run_folder.open_run("linear_probe")
    folder = run.folder
    batches = {"train": classification.plain_batches(encoder, "train")}
    class_names = classification.find_classes(batches["train"])
    run.keep_classes(class_names)
    for split in ("validation", judged):
        batches[split] = classification.plain_batches(
            encoder, split, class_names
        )
    probe = transfer.LinearProbe(
        encoder, len(class_names), FLAGS.pooling, class_names
    )

    def features_of(split):
        return transfer.extract_features(probe.features, batches[split])

    train, test = features_of("train"), features_of(judged)
    if FLAGS.augment:
        rate = fit_on_crops(probe, run)
    elif chosen_on == splits["validation"]:
        rate = fit_on_features(probe, train, features_of("validation"), run)
    else:
        held_out = transfer.few_labels(train[1], 0.1, FLAGS.seed)
        rest = np.setdiff1d(np.arange(len(train[1])), held_out)
        fitted, others = ([x[i] for x in train] for i in (rest, held_out))
        rate = fit_on_features(probe, fitted, others, run)

    logits = probe.head.predict(test[0], verbose=0)
    report = {
        "split": splits[judged],
        "chosen_on": chosen_on,
        "probe": {
            **classification.make_report(logits, test[1]),
            "learning_rate": rate,
        },
        **report_on_features(train, test, len(class_names)),
    }
    run_folder.write_json(folder / "report.json", report)
    classification.write_confusion(
        logits, test[1], class_names, folder / "confusion.png"
    )
    classification.write_classifier(probe.folded(), folder)
    print(
        f"{splits[judged]}, linear probe: "
        f"{classification.describe(report['probe'])}"
    )
    for count, result in report["knn"].items():
        print(f"{count} nearest neighbours: top-1 {100 * result['top1']:.2f} %")
    for result in report["logistic"].values():
        print(
            f"logistic regression on {result['images']} images: "
            f"top-1 {100 * result['top1']:.2f} %"
        )
    run.close()


if __name__ == "__main__":
    app.run(main)
