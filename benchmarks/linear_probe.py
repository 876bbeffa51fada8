"""How much does pre-training help a linear classifier on frozen features?

    python benchmarks/linear_probe.py runs/mae [more run folders]

For each run of examples/pretrain.py on clothing64: the features of its encoder
and those of an untrained one of the same shape and initialisation, standardised
and given to scikit-learn's logistic regression (C = 1), for the class token and
for the mean of the patch tokens. Fitted on the training split, judged on the
test split. Needs scikit-learn.
"""

import pathlib

import keras
from absl import app

import keras_mim
from harness import probes
from keras_mim.data import ImagePipeline

PACK = pathlib.Path(__file__).parents[1] / "examples/data/clothing64.npz"
POOLINGS = {
    "class token": lambda tokens: tokens[:, 0],
    "mean of patches": lambda tokens: tokens[:, 1:].mean(axis=1),
}


def tokens_of(encoder, split):
    pipeline = ImagePipeline(
        encoder.image_shape, 256, augment=False, crop_ratio=1.0
    )
    batches = pipeline.from_pack(PACK, split, labels=True)
    return keras_mim.transfer.extract_features(encoder, batches)


def accuracies(encoder):
    """Returns the probe's accuracy on the test split, per pooling."""
    train, train_labels = tokens_of(encoder, "train")
    test, test_labels = tokens_of(encoder, "test")
    return {
        name: probes.accuracy(
            (pool(train), train_labels), (pool(test), test_labels)
        )
        for name, pool in POOLINGS.items()
    }


def main(arguments):
    if len(arguments) < 2:
        raise app.UsageError("Name one or more run folders.")
    for number, folder in enumerate(arguments[1:]):
        path = pathlib.Path(folder) / "encoder.keras"
        trained = keras.saving.load_model(path)
        keras.utils.set_random_seed(number)
        untrained = type(trained).from_config(trained.get_config())
        before, after = accuracies(untrained), accuracies(trained)
        for name in POOLINGS:
            print(
                f"{folder}, {name}: untrained {before[name]:.1f} %, trained "
                f"{after[name]:.1f} %, gain {after[name] - before[name]:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
