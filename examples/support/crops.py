"""The crops to pre-train on."""

from absl import flags

from keras_mim.data import ColorJitter
from keras_mim.data import ImagePipeline
from support import data
from support import encoders
from support import methods
from support import training

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(training)
flags.adopt_module_key_flags(methods)
flags.DEFINE_float(
    "crop_scale",
    None,
    "Least share of an image in a crop; None: 0.2 (MAE), 0.67 (SimMIM).",
)
flags.DEFINE_enum(
    "crop",
    "random_size",
    ["random_size", "fixed_size", "center"],
    "What is cut out of an image: a random size, or 7/8 of the short side.",
)
flags.DEFINE_boolean("flip", True, "Flip half of the crops.")
flags.DEFINE_float(
    "color_jitter",
    0.0,
    "Strength of random brightness, contrast and saturation; BEiT's: 0.4.",
)
flags.DEFINE_enum(
    "interpolation",
    None,
    ["bicubic", "bilinear"],
    "Of the crops; None: bicubic (MAE), bilinear (SimMIM).",
)


def make_train(placement, first_epoch):
    """Returns the batches of this process to train on."""
    train = training.make_train(
        _random_crops(
            placement.batch_size(FLAGS.batch_size),
            first_epoch=first_epoch,
            shard=placement.shard,
        )
    )
    if not FLAGS.color_jitter:
        return train
    jitter = ColorJitter(FLAGS.color_jitter, seed=placement.seed(FLAGS.seed))
    return train.map(jitter, num_parallel_calls=2).prefetch(2)


def make_images_to_fit():
    """Returns batches to fit a target on, the same in every process and run."""
    return training.make_train(_random_crops(FLAGS.batch_size))


def make_validation(placement):
    """Returns the batches of this process to validate on, or None."""
    shared = placement.replicas > 1
    validation = data.make_dataset(
        _plain_crops(
            placement.batch_size(FLAGS.batch_size),
            # All devices need equally many batches.
            on_error="raise" if shared else data.on_error(),
            drop_remainder=shared,
            shard=placement.shard,
        ),
        "validation",
    )
    if shared and validation is not None and not placement.steps(validation):
        return None  # Fewer images than a batch.
    return validation


def make_plain(split):
    """Returns batches of a whole split, as the images are, or None."""
    pipeline = _plain_crops(FLAGS.batch_size, on_error=data.on_error())
    return data.make_dataset(pipeline, split)


def _random_crops(batch_size, **options):
    least = FLAGS.crop_scale
    if least is None:
        least = 0.2 if methods.is_mae() else 0.67
    return ImagePipeline(
        encoders.image_shape(),
        batch_size,
        seed=FLAGS.seed,
        drop_remainder=True,
        scale=(least, 1.0),
        interpolation=_interpolation(),
        crop=FLAGS.crop,
        flip=FLAGS.flip,
        **options,
    )


def _plain_crops(batch_size, **options):
    return ImagePipeline(
        encoders.image_shape(),
        batch_size,
        augment=False,
        crop_ratio=1.0,
        interpolation=_interpolation(),
        **options,
    )


def _interpolation():
    default = "bicubic" if methods.is_mae() else "bilinear"
    return FLAGS.interpolation or default
