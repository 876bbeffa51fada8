"""Short pre-training runs on small images, each judged by a linear probe.

What the ablations share. A row of a table is a name and a function that makes a
model from a seed. The same number of steps for each, several seeds; then a
logistic regression on the frozen encoder (the mean of its patch tokens,
standardised, C = 1) names the class: fitted on training images, judged on the
test split. "untrained" is an encoder as it starts.

--data is a pack as `keras_mim.data.read_pack` has it; images are resized to
--image_size and cut into patches of --patch_size. One line of JSON per finished
run: a second call goes on where the first stopped. Needs scikit-learn.
"""

import functools
import json
import pathlib
import statistics

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mim
from harness import probes
from keras_mim.data import ImagePipeline

BUNDLED = pathlib.Path(__file__).parents[2] / "examples/data/clothing64.npz"

FLAGS = flags.FLAGS
flags.DEFINE_string("data", str(BUNDLED), "Pack with train and test splits.")
flags.DEFINE_integer("num_images", 20000, "Images of the probe, at most.")
flags.DEFINE_integer("image_size", 32, "Side of the images, pixels.")
flags.DEFINE_integer("patch_size", 4, "Side of the encoder's patches, pixels.")
flags.DEFINE_string("output", None, "JSON lines of the finished runs.")
flags.DEFINE_integer("steps", 1400, "Steps of pre-training.")
flags.DEFINE_integer("seeds", 3, "Number of seeds.")
flags.DEFINE_list("rows", None, "Beginnings of the rows to run; None: all.")

BATCH_SIZE, PEAK_RATE = 64, 1e-3


def image_shape():
    return (FLAGS.image_size, FLAGS.image_size, 3)


def make_encoder():
    """Returns a small ViT."""
    return keras_mim.encoders.ViT(
        image_shape(),
        patch_size=FLAGS.patch_size,
        hidden_dim=96,
        num_layers=4,
        num_heads=3,
        mlp_dim=384,
    )


@functools.cache
def load(split):
    """Returns the normalised images and the labels of a split."""
    pipeline = ImagePipeline(image_shape(), 500, augment=False, crop_ratio=1.0)
    pairs = pipeline.from_pack(FLAGS.data, split, labels=True)
    images, labels = zip(*(map(np.asarray, pair) for pair in pairs))
    number = FLAGS.num_images if split == "train" else None
    return np.concatenate(images)[:number], np.concatenate(labels)[:number]


def batches(seed, **pipeline):
    """Returns endless training batches, cropped as a method has it."""
    pipeline = ImagePipeline(
        image_shape(), BATCH_SIZE, drop_remainder=True, seed=seed, **pipeline
    )
    return pipeline.from_pack(FLAGS.data).repeat()


def pre_train(model, images, loss=None, beta_2=0.999):
    """Trains for the given number of steps; a cosine after a tenth of them.

    Returns the mean loss of the first tenth and that of the last.
    """
    warmup = FLAGS.steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        FLAGS.steps - warmup,
        warmup_target=PEAK_RATE,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(rate, 0.05, beta_2=beta_2, epsilon=1e-8)
    optimizer.exclude_from_weight_decay(
        [w for w in model.trainable_weights if len(w.shape) < 2]
    )
    # Keras's own choice is no XLA where there is no GPU.
    model.compile(optimizer, loss, jit_compile=True)
    history = model.fit(
        images,
        steps_per_epoch=-(-FLAGS.steps // 10),
        epochs=10,
        shuffle=False,  # The pipeline does it.
        verbose=0,
    )
    losses = history.history["loss"]
    return round(losses[0], 4), round(losses[-1], 4)


def features_of(encoder, split):
    images, labels = load(split)
    tokens = encoder.predict(images, batch_size=500, verbose=0)
    return tokens[:, encoder.num_prefix_tokens :].mean(axis=1), labels


def probe(encoder):
    """Returns the accuracy on the test split, in percent."""
    train, test = (features_of(encoder, split) for split in ("train", "test"))
    return round(probes.accuracy(train, test), 2)


def run_all(rows, run, columns):
    """Runs all rows with all seeds, and prints a table of means.

    Args:
        rows: dict of str to anything: by name, what `run` is given.
        run: function of a row and a seed. Returns a dict of numbers.
        columns: dict of str to str: by the names of these numbers, how to
            format them.
    """
    path = pathlib.Path(FLAGS.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    done = [json.loads(line) for line in lines]
    if any(row["steps"] != FLAGS.steps for row in done):
        raise app.UsageError(f"{path} holds runs of other lengths.")
    finished = {(row["run"], row["seed"]) for row in done}
    wanted = [
        name
        for name in rows
        if FLAGS.rows is None or name.startswith(tuple(FLAGS.rows))
    ]
    for seed in range(FLAGS.seeds):
        for name in wanted:
            if (name, seed) in finished:
                continue
            keras.utils.set_random_seed(seed)
            numbers = run(rows[name], seed)
            row = {"run": name, "seed": seed, "steps": FLAGS.steps, **numbers}
            done.append(row)
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)
            keras.utils.clear_session()
    print(f"| run | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for name in wanted:
        of_run = [row for row in done if row["run"] == name]
        cells = []
        for key, form in columns.items():
            values = [row[key] for row in of_run if key in row]
            if not values:
                cells.append("")
                continue
            mean = format(statistics.mean(values), form)
            spread = statistics.stdev(values) if len(values) > 1 else 0
            cells.append(f"{mean} ± {format(spread, form)}")
        print(f"| {name} | {' | '.join(cells)} |")
