"""How much does pre-training help a linear classifier on frozen features?

    python benchmarks/linear_probe.py runs/mae [more run folders]

For each run of examples/pretrain.py on clothing64: the features of its encoder
and those of an untrained one of the same shape and initialisation, each probed
with three seeds by batch norm without affine and one linear layer on the class
token (MAE's probe), trained on the training split, judged on the test split.
"""

import pathlib
import statistics

import keras
import numpy as np
from absl import app

import keras_mim  # noqa: F401, registers the encoder's class
from keras_mim.data import ImagePipeline

PACK = pathlib.Path(__file__).parents[1] / "examples/data/clothing64.npz"


def features(encoder, split):
    pipeline = ImagePipeline(
        encoder.image_shape, 256, augment=False, crop_ratio=1.0
    )
    pairs = list(pipeline.from_pack(PACK, split, labels=True))
    tokens = [
        keras.ops.convert_to_numpy(encoder(np.asarray(images)))[:, 0]
        for images, _ in pairs
    ]
    labels = [np.asarray(labels) for _, labels in pairs]
    return np.concatenate(tokens), np.concatenate(labels)


def probe(train, test, seed):
    """Returns the probe's accuracy on the test split."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            # MAE's: torch's momentum 0.1 is Keras's 0.9.
            keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-6, center=False, scale=False
            ),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    epochs, batch_size = 60, 128
    steps = epochs * len(train[0]) // batch_size
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(1e-2, steps)
        ),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(*train, batch_size=batch_size, epochs=epochs, verbose=0)
    return 100 * model.evaluate(*test, verbose=0)[1]


def main(arguments):
    if len(arguments) < 2:
        raise app.UsageError("Name one or more run folders.")
    gains = []
    for number, folder in enumerate(arguments[1:]):
        trained = keras.saving.load_model(
            pathlib.Path(folder) / "encoder.keras"
        )
        keras.utils.set_random_seed(number)
        untrained = type(trained).from_config(trained.get_config())
        means = []
        for name, encoder in (("untrained", untrained), ("trained", trained)):
            train, test = (features(encoder, s) for s in ("train", "test"))
            scores = [probe(train, test, seed) for seed in range(3)]
            means.append(statistics.mean(scores))
            each = " ".join(f"{score:.1f}" for score in scores)
            print(f"{folder} {name}: {means[-1]:.1f} % ({each})", flush=True)
        gains.append(means[1] - means[0])
    print("gain in points: " + " ".join(f"{gain:.1f}" for gain in gains))


if __name__ == "__main__":
    app.run(main)
