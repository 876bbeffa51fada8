"""Pre-trains an image encoder without labels, by MAE or SimMIM.

    python examples/pretrain.py                              # bundled photos
    python examples/pretrain.py --data my_photos --image_size 224
    python examples/pretrain.py --method simmim --encoder swin_tiny
    python examples/pretrain.py --method simmim --masking block \\
        --mask_patch_size 8 --mask_ratio 0.4 --target hog        # MaskFeat
    python examples/pretrain.py --data imagenet/train \\
        --flagfile=examples/recipes/simmim_vit_base_800.txt
    python examples/pretrain.py --distribution data          # All devices.

With no flag at all: MAE, a small ViT, 3,068 photos of clothes, four to six
minutes on two cores. The recipes are the papers'. Works on TensorFlow, JAX and
torch (set KERAS_BACKEND); the input pipeline is tf.data on all of them.

Trains on the training split and shows the loss on the validation split, if
there is one; it says which are which. Writes to --output_dir: model.keras,
encoder.keras, encoder/ (a SavedModel), reconstructions.png and reconstructions/
(one picture every few epochs), loss.png, history.csv, config.json and backup/,
from which --resume goes on (guides/running.md).
"""

import os

# TensorFlow leaves oneDNN off on CPUs without AVX512, where it is half as fast
# again; it asks when it is imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mim
from keras_mim.callbacks import ReconstructionCallback
from keras_mim.callbacks import save_reconstruction_grid
from support import checks
from support import crops
from support import data
from support import devices
from support import methods
from support import run_folder
from support import training

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(crops)
flags.adopt_module_key_flags(devices)
flags.adopt_module_key_flags(methods)
flags.adopt_module_key_flags(training)
FLAGS.set_default("base_learning_rate", 6e-3)
flags.DEFINE_integer(
    "picture_every", 5, "Epochs between two pictures of reconstructions."
)


def make_optimizer(model, steps_per_epoch):
    optimizer = keras.optimizers.AdamW(
        training.make_schedule(steps_per_epoch),
        FLAGS.weight_decay,
        beta_2=0.95 if methods.is_mae() else 0.999,  # The papers'.
        epsilon=1e-8,
        global_clipnorm=FLAGS.clip_norm,
    )
    # As in the papers: no decay for biases and norms.
    optimizer.exclude_from_weight_decay(
        [w for w in model.trainable_weights if len(w.shape) < 2]
    )
    return optimizer


def write_encoder(encoder, folder):
    run_folder.save_model(encoder, folder / "encoder.keras")
    keras_mim.serving.export_encoder(encoder, folder / "encoder")


def write_reconstructions(model, watch, folder):
    result = model.reconstruct(watch.images, watch.masked)
    path = folder / "reconstructions.png"
    save_reconstruction_grid(result, path, model.encoder.normalization)
    print(f"See {path}.")


def judge(model, validation, images):
    """Prints the loss on validation images, and one to compare it with."""
    loss = model.evaluate(validation, verbose=0)
    print(f"validation loss, hidden patches: {loss:.3f}")
    if FLAGS.target == "pixels":
        print(
            "the same for predicting each patch's mean: "
            f"{methods.mean_baseline(model.target, images):.3f}"
        )


def main(arguments):
    checks.check(arguments)
    placement = devices.start()
    methods.try_model()
    splits = data.find_splits()
    if placement.is_chief:
        validates_on = splits["validation"] or "nothing"
        data.tell_splits(splits, f"validates on {validates_on}")
    run = run_folder.open_run(FLAGS.method, placement)
    folder, finished_epochs = run.folder, run.finished_epochs
    training.set_up()

    # The share of this process; and what is the same in every process.
    train = crops.make_train(placement, finished_epochs)
    validation = crops.make_validation(placement)
    all_validation = crops.make_plain("validation")
    images = np.asarray(next(iter(all_validation or crops.make_plain("train"))))

    with placement.scope():
        model = methods.make_model(crops.make_images_to_fit)
        model.compile(
            make_optimizer(model, placement.steps(train)),
            methods.compile_loss(model.target),
            jit_compile=training.jit_compile(),
        )
    if placement.is_chief:
        model.summary()

    callbacks = []
    if methods.shows_pixels():
        watch = ReconstructionCallback(
            images[:8],
            folder / "reconstructions",
            every_epochs=FLAGS.picture_every,
        )
        callbacks.append(placement.chief_only(watch))
    placement.fit(
        model,
        train,
        validation,
        FLAGS.epochs,
        finished_epochs,
        run.make_callbacks(*callbacks),
    )
    model = placement.finish(model, folder / "model.keras")
    if model is None:  # The first process does the rest.
        return

    write_encoder(model.encoder, folder)
    if methods.shows_pixels():
        write_reconstructions(model, watch, folder)
    run_folder.write_curve(folder, "loss.png", "loss", "loss on hidden patches")
    if all_validation is not None:
        judge(model, all_validation, images)
    print(f"The encoder to serve is in {folder}/encoder.")
    run.close()


if __name__ == "__main__":
    app.run(main)
