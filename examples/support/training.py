"""How the examples train: epochs, learning rate, precision, seed."""

import keras
from absl import app
from absl import flags

import keras_mim
from support import data
from support import run_folder

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(data)
flags.adopt_module_key_flags(run_folder)
flags.DEFINE_integer("epochs", 20, "Passes over the images.")
flags.DEFINE_integer(
    "batch_size", 64, "Images per step, of all devices together."
)
flags.DEFINE_float(
    "base_learning_rate",
    None,
    "Peak learning rate per 256 images of a batch (the papers' linear scaling "
    "rule). MAE's 1.5e-4 is for 800 epochs of ImageNet; short runs want more.",
)
flags.DEFINE_enum(
    "schedule",
    "cosine",
    ["cosine", "cosine_from_start", "step"],
    "After the warm-up: a cosine to the last epoch; one that counts the "
    "warm-up epochs (SimMIM's); or a tenth from --step_epoch on.",
)
flags.DEFINE_float("step_epoch", None, "Of --schedule=step; SimMIM's: 700.")
flags.DEFINE_float("warmup_epochs", 2, "Epochs of linear warm-up.")
flags.DEFINE_float(
    "warmup_learning_rate", 0.0, "Where it starts; scaled as the peak is."
)
flags.DEFINE_float(
    "min_learning_rate", 0.0, "Where the cosine ends; scaled as the peak is."
)
flags.DEFINE_float("weight_decay", 0.05, "AdamW's weight decay.")
flags.DEFINE_float(
    "clip_norm", None, "Largest norm of all gradients together; SimMIM's: 5."
)
flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "Precision of the arithmetic; weights stay float32.",
)
flags.DEFINE_boolean(
    "jit_compile",
    None,
    "Compile with XLA, or with torch.compile; None: as Keras decides.",
)
flags.DEFINE_integer("seed", 0, "Seed of weights, masks and augmentation.")


def set_up():
    """Applies --seed and --precision; to be called before a model is made."""
    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(FLAGS.precision)


def jit_compile():
    """Returns what `compile` takes as `jit_compile`."""
    return "auto" if FLAGS.jit_compile is None else FLAGS.jit_compile


def make_train(pipeline, labels=False, class_names=None):
    """Returns the batches to train on, of which there must be one.

    Args:
        pipeline: `ImagePipeline`.
        labels: bool. Whether to give labels too.
        class_names: list of str. As in `data.make_dataset`.
    """
    train = data.make_dataset(pipeline, "train", labels, class_names)
    if not len(train):
        raise app.UsageError(
            f"--batch_size={FLAGS.batch_size} is more than there are images."
        )
    return train


def make_schedule(steps_per_epoch):
    """Returns the learning rate by step, scaled to the batch."""
    scale = FLAGS.batch_size / 256
    peak = FLAGS.base_learning_rate * scale
    steps = FLAGS.epochs * steps_per_epoch
    warmup_steps = int(FLAGS.warmup_epochs * steps_per_epoch)
    start = FLAGS.warmup_learning_rate * scale
    alpha = FLAGS.min_learning_rate / FLAGS.base_learning_rate
    schedules = keras.optimizers.schedules
    if FLAGS.schedule == "cosine":
        return schedules.CosineDecay(
            start,
            max(steps - warmup_steps, 1),
            alpha,
            warmup_target=peak,
            warmup_steps=max(warmup_steps, 1),
        )
    if FLAGS.schedule == "cosine_from_start":
        after = schedules.CosineDecay(peak, steps, alpha)
    else:
        # The rate of a step is decided before it; Keras's boundaries belong
        # to what was before.
        boundary = int(FLAGS.step_epoch * steps_per_epoch) - 1
        after = schedules.PiecewiseConstantDecay([boundary], [peak, peak / 10])
    return keras_mim.optimizers.WarmUp(after, warmup_steps, start)
