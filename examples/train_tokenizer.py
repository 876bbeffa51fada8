"""Trains a small tokenizer of images, for `pretrain.py --target=tokens`.

    python examples/train_tokenizer.py --data=clothing64
    python examples/pretrain.py --method=simmim --target=tokens \\
        --teacher=runs/tokenizer/tokenizer.keras

A discrete variational autoencoder, as DALL-E's and so as BEiT's tokens come
from (Ramesh et al., 2021, https://arxiv.org/abs/2102.12092), in small: the
encoder gives each square of 8 pixels a choice of --num_tokens, softened by
Gumbel noise at a temperature that falls from 1 to 1/16; the decoder paints the
image from the choices.

Writes to --output_dir: tokenizer.keras, reconstructions.png (above, photos;
below, what their tokens say of them), history.csv and config.json.
"""

import os

# As in pretrain.py.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import training
from absl import app
from absl import flags
from keras import ops

from keras_mim.data import ImagePipeline
from keras_mim.targets import DalleEncoder

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(training)
FLAGS.set_default("base_learning_rate", 4e-3)
FLAGS.set_default("weight_decay", 0.0)

flags.DEFINE_integer("image_size", 64, "Side of the crops, pixels.")
flags.DEFINE_integer("hidden_dim", 32, "Channels of the encoder's first group.")
flags.DEFINE_integer("num_tokens", 512, "Size of the vocabulary.")
flags.DEFINE_float(
    "uniform_weight",
    1e-3,
    "How much the loss asks for all tokens to be used alike.",
)

LAST_TEMPERATURE = 1 / 16  # The paper's.


def make_decoder(hidden_dim):
    """Returns a model from token probabilities to pixels in [0, 1]."""
    layers = [keras.layers.Conv2D(8 * hidden_dim, 1, name="embedding")]
    for width in (4, 2, 1):
        layers += [
            keras.layers.Conv2DTranspose(
                width * hidden_dim, 4, 2, "same", activation="relu"
            ),
            keras.layers.Conv2D(
                width * hidden_dim, 3, padding="same", activation="relu"
            ),
        ]
    layers.append(keras.layers.Conv2D(3, 1, activation="sigmoid"))
    return keras.Sequential(layers, name="decoder")


class Autoencoder(keras.Model):
    """Paints images from their tokens."""

    def __init__(self, tokenizer, decoder, uniform_weight, seed):
        super().__init__()
        self.tokenizer = tokenizer
        self.decoder = decoder
        self.uniform_weight = uniform_weight
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.temperature = self.add_weight(
            name="temperature",
            shape=(),
            initializer="ones",
            trainable=False,
            autocast=False,
        )

    def call(self, images, training=None):
        logits = self.tokenizer(images)
        num_tokens = logits.shape[-1]
        if not training:
            best = ops.argmax(logits, axis=-1)
            return self.decoder(ops.one_hot(best, num_tokens))
        shares = ops.mean(ops.softmax(logits), axis=(0, 1, 2))
        # The distance of the mean choice from a uniform one, in nats.
        distance = ops.sum(shares * ops.log(shares * num_tokens + 1e-8))
        self.add_loss(self.uniform_weight * distance)
        uniform = keras.random.uniform(
            ops.shape(logits), 1e-6, 1 - 1e-6, seed=self.seed_generator
        )
        noise = -ops.log(-ops.log(uniform))
        return self.decoder(ops.softmax((logits + noise) / self.temperature))


class Cooling(keras.callbacks.Callback):
    """Lowers the temperature with each epoch, by the same factor."""

    def on_epoch_begin(self, epoch, logs=None):
        done = epoch / max(self.params["epochs"] - 1, 1)
        self.model.temperature.assign(LAST_TEMPERATURE**done)


def write_picture(model, images, path):
    from matplotlib.figure import Figure

    painted = ops.convert_to_numpy(model(images))
    figure = Figure(figsize=(len(images), 2), dpi=120)
    rows = [np.concatenate(list(row), axis=1) for row in (images, painted)]
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.clip(np.concatenate(rows), 0, 1))
    axes.axis("off")
    figure.savefig(path)


def main(_):
    folder, finished_epochs = training.open_run("tokenizer")
    keras.utils.set_random_seed(FLAGS.seed)
    common = {
        "image_shape": (FLAGS.image_size, FLAGS.image_size, 3),
        "batch_size": FLAGS.batch_size,
        # A tokenizer takes pixels in [0, 1].
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
    }
    train = training.make_train(
        ImagePipeline(
            **common, seed=FLAGS.seed + finished_epochs, drop_remainder=True
        )
    )
    plain = ImagePipeline(**common, augment=False, crop_ratio=1.0)
    held_out = training.make_dataset(plain, FLAGS.data, "validation") or (
        training.make_dataset(plain, FLAGS.data, "train")
    )
    model = Autoencoder(
        DalleEncoder(FLAGS.hidden_dim, 1, FLAGS.num_tokens),
        make_decoder(FLAGS.hidden_dim),
        FLAGS.uniform_weight,
        FLAGS.seed,
    )
    model(np.zeros((1, *common["image_shape"]), "float32"))  # Builds it.
    optimizer = keras.optimizers.AdamW(
        training.make_schedule(len(train)),
        FLAGS.weight_decay,
        global_clipnorm=FLAGS.clip_norm,
    )
    model.compile(optimizer, "mse")
    model.fit(
        train.map(lambda images: (images, images)),
        epochs=FLAGS.epochs,
        shuffle=False,  # The pipeline does it.
        callbacks=[*training.make_callbacks(folder), Cooling()],
    )
    model.tokenizer.save(folder / "tokenizer.keras")
    images = np.asarray(next(iter(held_out)))
    ids = np.argmax(model.tokenizer.predict(images, verbose=0), axis=-1)
    error = np.mean((ops.convert_to_numpy(model(images)) - images) ** 2)
    spread = np.mean((images - images.mean(axis=(1, 2), keepdims=True)) ** 2)
    write_picture(model, images[:8], folder / "reconstructions.png")
    print(
        f"{len(np.unique(ids))} of {FLAGS.num_tokens} tokens in "
        f"{len(images)} photos; mean squared error {error:.4f}, of their mean "
        f"colours {spread:.4f}."
    )
    print(f"See {folder}/reconstructions.png.")


if __name__ == "__main__":
    app.run(main)
