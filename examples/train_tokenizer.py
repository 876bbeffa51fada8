"""Finds a vocabulary of image patches, for `pretrain.py --target=tokens`.

    python examples/train_tokenizer.py --data=clothing64
    python examples/pretrain.py --method=simmim --target=tokens \\
        --teacher=runs/tokenizer/tokenizer.keras

k-means over patches of the training images: the token of a patch is the number
of the nearest of --num_tokens mean patches (the "visual words" of Sivic and
Zisserman, 2003). It takes seconds, and nearly every token is used. BEiT's
tokens come from a large network instead: `keras_mim.converters.load_dalle`.

Writes to --output_dir: tokenizer.keras, a model of one convolution whose
largest output is the nearest mean; reconstructions.png (above, photos; below,
what their tokens say of them); config.json. Needs scikit-learn.
"""

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

flags.DEFINE_integer("image_size", 64, "Side of the crops, pixels.")
flags.DEFINE_integer("patch_size", 8, "Side of a patch, pixels.")
flags.DEFINE_integer("num_tokens", 512, "Size of the vocabulary.")
flags.DEFINE_integer("num_images", 5000, "Crops to learn from.")


def patches_of(images):
    patches = keras_mim.ops.patchify(np.asarray(images), FLAGS.patch_size)
    patches = keras.ops.convert_to_numpy(patches)
    return patches.reshape(-1, patches.shape[-1])


def find_means(batches):
    """Returns an array `(num_tokens, patch_dim)` of mean patches."""
    from sklearn.cluster import MiniBatchKMeans

    number = -(-FLAGS.num_images // FLAGS.batch_size)
    patches = [patches_of(images) for images in batches.repeat().take(number)]
    patches = np.concatenate(patches)
    if len(patches) < FLAGS.num_tokens:
        raise app.UsageError(
            f"--num_tokens={FLAGS.num_tokens} is more than there are patches, "
            f"{len(patches)}."
        )
    clusters = MiniBatchKMeans(
        FLAGS.num_tokens, random_state=FLAGS.seed, batch_size=8192, n_init=3
    )
    return clusters.fit(patches).cluster_centers_


def make_tokenizer(means):
    """Returns a model from pixels to `2 x m - m m` for each mean `m`.

    Which is minus the squared distance of a patch `x` from it, but for what is
    the same for every mean.
    """
    size = FLAGS.patch_size
    convolution = keras.layers.Conv2D(
        len(means), size, strides=size, dtype="float32", name="distances"
    )
    tokenizer = keras.Sequential(
        [keras.Input((None, None, 3)), convolution], name="tokenizer"
    )
    # A patch holds its pixels row by row, as a kernel does.
    kernel = 2 * means.T.reshape(size, size, 3, -1)
    convolution.set_weights([kernel, -np.square(means).sum(axis=1)])
    return tokenizer


def write_picture(images, painted, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(len(images), 2), dpi=120)
    rows = [np.concatenate(list(row), axis=1) for row in (images, painted)]
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.clip(np.concatenate(rows), 0, 1))
    axes.axis("off")
    run_folder.save_figure(figure, path)


def main(arguments):
    checks.check(arguments)
    if FLAGS.image_size % FLAGS.patch_size:
        raise app.UsageError(
            "--image_size must be a multiple of --patch_size. Received: "
            f"--image_size={FLAGS.image_size} --patch_size={FLAGS.patch_size}"
        )
    data.find_splits()  # What is wrong with them shows before a run begins.
    run = run_folder.open_run("tokenizer")
    folder = run.folder
    keras.utils.set_random_seed(FLAGS.seed)
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    # A tokenizer takes pixels in [0, 1].
    pixels = keras_mim.Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    train = training.make_train(
        ImagePipeline(
            shape, FLAGS.batch_size, seed=FLAGS.seed, normalization=pixels
        )
    )
    plain = ImagePipeline(
        shape,
        FLAGS.batch_size,
        augment=False,
        crop_ratio=1.0,
        normalization=pixels,
    )
    held_out = data.make_dataset(plain, "validation") or (
        data.make_dataset(plain, "train")
    )
    means = find_means(train)
    tokenizer = make_tokenizer(means)
    run.begin()
    run_folder.save_model(tokenizer, folder / "tokenizer.keras")

    images = np.asarray(next(iter(held_out)))
    ids = np.argmax(tokenizer.predict(images, verbose=0), axis=-1)
    painted = keras_mim.ops.unpatchify(
        means[ids.reshape(len(images), -1)], ids.shape[1:], FLAGS.patch_size
    )
    painted = keras.ops.convert_to_numpy(painted)
    error = np.mean((painted - images) ** 2)
    spread = np.mean((images - images.mean(axis=(1, 2), keepdims=True)) ** 2)
    write_picture(images[:8], painted[:8], folder / "reconstructions.png")
    print(
        f"{len(np.unique(ids))} of {FLAGS.num_tokens} tokens in "
        f"{len(images)} photos; mean squared error {error:.4f}, of their mean "
        f"colours {spread:.4f}."
    )
    print(f"See {folder}/reconstructions.png.")
    run.close()


if __name__ == "__main__":
    app.run(main)
