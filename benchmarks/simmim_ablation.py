"""Do SimMIM's findings on cells and on its loss hold on small images?

    python benchmarks/simmim_ablation.py --data=cifar10.npz

Pre-trains a small ViT (patches of 4 pixels) by SimMIM, 60 % hidden: in cells of
4, 8 and 16 pixels with the loss on hidden pixels, and in cells of 8 pixels with
the loss on all pixels. The same steps for each, several seeds. Then a logistic
regression on the frozen encoder (the mean of its patch tokens, standardised,
C = 1) names the class: fitted on the same images, judged on the test split.
"untrained" is the encoder as it starts.

--data is a pack as `keras_mim.data.read_pack` has it; images are resized to
--image_size, and cropped and flipped as SimMIM does to pre-train. One line of
JSON per finished run: a second call goes on where the first stopped. Prints a
table. Needs scikit-learn.
"""

import functools
import json
import pathlib
import statistics

import keras
import numpy as np
from absl import app
from absl import flags
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_mim
from keras_mim.data import ImagePipeline

BUNDLED = pathlib.Path(__file__).parents[1] / "examples/data/clothing64.npz"

FLAGS = flags.FLAGS
flags.DEFINE_string("data", str(BUNDLED), "Pack with train and test splits.")
flags.DEFINE_integer("num_images", 20000, "Images of the probe, at most.")
flags.DEFINE_integer("image_size", 32, "Side of the images, pixels.")
flags.DEFINE_string("output", "runs/simmim_ablation.jsonl", "Results.")
flags.DEFINE_integer("steps", 1400, "Steps of pre-training.")
flags.DEFINE_integer("seeds", 3, "Number of seeds.")

BATCH_SIZE, PEAK_RATE = 64, 1e-3
# Name -> side of a cell in pixels, loss on all pixels.
RUNS = {
    "untrained": None,
    "cells of 4 px": (4, False),
    "cells of 8 px": (8, False),
    "cells of 16 px": (16, False),
    "cells of 8 px, loss on all pixels": (8, True),
}


def make_model(cell, on_all_patches, seed):
    encoder = keras_mim.encoders.ViT(
        (FLAGS.image_size, FLAGS.image_size, 3),
        patch_size=4,
        hidden_dim=96,
        num_layers=4,
        num_heads=3,
        mlp_dim=384,
    )
    masking = keras_mim.masking.RandomMasking(
        0.6, mask_patch_size=cell, seed=seed
    )
    return keras_mim.SimMIM(
        encoder, masking, loss_on_all_patches=on_all_patches
    )


@functools.cache
def load(split):
    """Returns the normalised images and the labels of a split."""
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    pipeline = ImagePipeline(shape, 500, augment=False, crop_ratio=1.0)
    pairs = pipeline.from_pack(FLAGS.data, split, labels=True)
    images, labels = zip(*(map(np.asarray, pair) for pair in pairs))
    number = FLAGS.num_images if split == "train" else None
    return np.concatenate(images)[:number], np.concatenate(labels)[:number]


def train(model, seed):
    pipeline = ImagePipeline(
        (FLAGS.image_size, FLAGS.image_size, 3),
        BATCH_SIZE,
        scale=(0.67, 1.0),
        interpolation="bilinear",
        drop_remainder=True,
        seed=seed,
    )
    images = pipeline.from_pack(FLAGS.data).repeat()
    warmup = FLAGS.steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        FLAGS.steps - warmup,
        warmup_target=PEAK_RATE,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(rate, 0.05, epsilon=1e-8)
    optimizer.exclude_from_weight_decay(
        [w for w in model.trainable_weights if len(w.shape) < 2]
    )
    model.compile(optimizer, jit_compile=False)
    model.fit(images, steps_per_epoch=FLAGS.steps, verbose=0)


def features_of(encoder, split):
    images, labels = load(split)
    tokens = encoder.predict(images, batch_size=500, verbose=0)
    return tokens[:, encoder.num_prefix_tokens :].mean(axis=1), labels


def probe(encoder):
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=1000)
    )
    classifier.fit(*features_of(encoder, "train"))
    return 100 * classifier.score(*features_of(encoder, "test"))


def hidden_loss(model):
    """Returns the L1 loss on hidden pixels of test images, and their share."""
    images = load("test")[0][:1000]
    masked = np.asarray(keras.ops.convert_to_numpy(model.masking(images)))
    prediction = model.predict_patches(images, masked, batch_size=500)
    target = keras.ops.convert_to_numpy(model.target(images))
    return float(np.abs(prediction - target)[masked].mean()), masked.mean()


def run(name, seed):
    keras.utils.set_random_seed(seed)
    model = make_model(*(RUNS[name] or (8, False)), seed)
    if RUNS[name]:
        train(model, seed)
    loss, share = hidden_loss(model)
    return {
        "run": name,
        "seed": seed,
        "steps": FLAGS.steps,
        "hidden_share": round(float(share), 3),
        "hidden_loss": round(loss, 4),
        "probe": round(probe(model.encoder), 2),
    }


def main(_):
    path = pathlib.Path(FLAGS.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    if any(row["steps"] != FLAGS.steps for row in rows):
        raise app.UsageError(f"{path} holds runs of other lengths.")
    finished = {(row["run"], row["seed"]) for row in rows}
    for seed in range(FLAGS.seeds):
        for name in RUNS:
            if (name, seed) in finished:
                continue
            rows.append(run(name, seed))
            with path.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(rows[-1], flush=True)
            keras.utils.clear_session()
    print("| run | hidden | L1 on hidden pixels | probe, % |")
    print("|---|---|---|---|")
    for name in RUNS:
        of_run = [row for row in rows if row["run"] == name]
        cells = [f"{100 * of_run[0]['hidden_share']:.0f} %"]
        for key, digits in (("hidden_loss", 3), ("probe", 1)):
            values = [row[key] for row in of_run]
            mean = statistics.mean(values)
            deviation = statistics.stdev(values) if len(values) > 1 else 0
            cells.append(f"{mean:.{digits}f} ± {deviation:.{digits}f}")
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    app.run(main)
