"""What is pre-trained: the method, and its masking, head, target and loss."""

from concurrent import futures

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mim
from support import encoders

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(encoders)
flags.DEFINE_enum("method", "mae", ["mae", "simmim"], "What to train.")
flags.DEFINE_integer("decoder_dim", 64, "Width of MAE's decoder; paper: 512.")
flags.DEFINE_integer("decoder_layers", 2, "Its blocks; paper: 8.")
flags.DEFINE_integer("decoder_heads", 2, "Its attention heads; paper: 16.")
flags.DEFINE_enum(
    "simmim_head",
    "linear",
    ["linear", "mlp", "inverse_swin_tiny", "inverse_swin_base"],
    "SimMIM's head.",
)
flags.DEFINE_boolean(
    "mask_tokens",
    False,
    "MAE: its encoder sees hidden patches too, as a mask token (table 1c).",
)
flags.DEFINE_enum(
    "masking",
    "random",
    ["random", "block", "grid", "square"],
    "Kind of the masks; 'grid' keeps one of each four patches.",
)
flags.DEFINE_float(
    "mask_ratio", None, "Share that is hidden; None: 0.75 (MAE), 0.6 (SimMIM)."
)
flags.DEFINE_integer(
    "mask_patch_size",
    None,
    "Side of the cells that are hidden whole, pixels; None: single patches "
    "(MAE), 32 or half the image, whichever is less (SimMIM).",
)
flags.DEFINE_enum(
    "target",
    "pixels",
    ["pixels", "pca", "hog", "tokens", "features", "ema"],
    "What is predicted: pixels; coefficients of a PCA of the patches; oriented "
    "gradients (MaskFeat's); the tokens of --teacher (BEiT's); the features of "
    "--teacher; those of a moving average of the encoder (data2vec's).",
)
flags.DEFINE_string(
    "teacher", None, "Tokenizer or encoder, a .keras file; see --target."
)
flags.DEFINE_integer("num_components", 96, "Of --target=pca; MAE's: 96.")
flags.DEFINE_float(
    "momentum",
    0.9998,
    "Of --target=ema; data2vec's, for 800 epochs. Short runs want less.",
)
flags.DEFINE_boolean(
    "norm_pix", None, "Predict normalised pixels; None: MAE yes, SimMIM no."
)
flags.DEFINE_integer(
    "pool_size", 1, "Predict the means of squares of this side, in pixels."
)
flags.DEFINE_enum(
    "loss",
    None,
    ["l1", "smooth_l1", "l2"],
    "None: l2 (MAE), l1 (SimMIM).",
)
flags.DEFINE_boolean(
    "loss_on_all_patches", False, "Of visible patches too, not only of hidden."
)

LOSSES = {"l1": "mae", "smooth_l1": "huber", "l2": "mse"}  # Keras's names.


def is_mae():
    return FLAGS.method == "mae"


def try_model():
    """Ends the program where flags make no model, by making a shallow one.

    In a thread of its own, where Keras counts names, and holds distribution
    and precision, apart.
    """
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(_try_model).result()


def _try_model():
    try:
        encoder = encoders.make_encoder(shallow=True)
        target = None
        if FLAGS.target != "pca":
            target = make_target(encoder, None)
        elif FLAGS.num_components > (values := 3 * encoder.patch_size**2):
            raise ValueError(
                f"--num_components must be at most {values}, the values of a "
                f"patch. Received: --num_components={FLAGS.num_components}"
            )
        head = make_head(encoder, shallow=True)
        method_class()(encoder, make_masking(), head, target)
    except ValueError as error:
        raise app.UsageError(f"The flags make no model: {error}") from error


def make_model(images_to_fit):
    """Returns the model that pre-trains.

    Args:
        images_to_fit: function without arguments. Returns the images that
            --target=pca is fitted on.
    """
    encoder = encoders.make_encoder()
    masking = make_masking()
    target = make_target(encoder, images_to_fit)
    head = make_head(encoder)
    return method_class()(
        encoder, masking, head, target, FLAGS.loss_on_all_patches
    )


def method_class():
    by_mae = is_mae() and not FLAGS.mask_tokens
    return keras_mim.MAE if by_mae else keras_mim.SimMIM


def make_masking():
    cell = FLAGS.mask_patch_size
    if cell is None and not is_mae():
        cell = min(32, FLAGS.image_size // 2)
    common = {"mask_patch_size": cell, "seed": FLAGS.seed}
    if FLAGS.masking == "grid":
        return keras_mim.masking.GridMasking(**common)
    ratio = FLAGS.mask_ratio
    if ratio is None:
        ratio = 0.75 if is_mae() else 0.6
    return {
        "random": keras_mim.masking.RandomMasking,
        "block": keras_mim.masking.BlockMasking,
        "square": keras_mim.masking.SquareMasking,
    }[FLAGS.masking](ratio, **common)


def make_head(encoder, shallow=False):
    layers = keras_mim.layers
    if is_mae():
        return layers.MAEHead(
            FLAGS.decoder_dim,
            1 if shallow else FLAGS.decoder_layers,
            FLAGS.decoder_heads,
            remat=FLAGS.remat,
        )
    if FLAGS.simmim_head == "linear":
        # One prediction for each square that is larger than a patch.
        return layers.SimMIMHead(max(FLAGS.pool_size // encoder.patch_size, 1))
    if FLAGS.simmim_head == "mlp":
        return layers.MLPHead()
    return layers.InverseSwinHead.from_size(
        FLAGS.simmim_head.removeprefix("inverse_swin_"),
        window_size=encoders.window_size(),
    )


def make_target(encoder, images_to_fit):
    targets = keras_mim.targets
    if FLAGS.target == "pixels":
        return targets.PixelTarget(
            normalize=is_mae() if FLAGS.norm_pix is None else FLAGS.norm_pix,
            pool_size=FLAGS.pool_size,
        )
    if FLAGS.target == "pca":
        return targets.PCATarget.fit(
            # Thousands of images are enough, and a minute's work.
            images_to_fit().take(-(-2000 // FLAGS.batch_size)),
            patch_size=encoder.patch_size,
            num_components=FLAGS.num_components,
        )
    if FLAGS.target == "hog":
        return targets.HOGTarget(cell_size=min(8, encoder.patch_size))
    if FLAGS.target == "ema":
        return targets.EMATarget(FLAGS.momentum, min(6, len(encoder.blocks)))
    teacher = keras.saving.load_model(FLAGS.teacher, compile=False)
    if FLAGS.target == "features":
        return targets.FeatureTarget(teacher)
    return targets.TokenTarget(teacher)


def compile_loss(target):
    """Returns the loss to compile with; `None` is the method's or target's."""
    if FLAGS.loss is None and FLAGS.mask_tokens and not target.default_loss:
        return "mse"  # MAE's, though the class is SimMIM.
    return LOSSES.get(FLAGS.loss)


def mean_baseline(target, images):
    """Returns the loss of predicting the mean of every patch."""
    values = keras.ops.convert_to_numpy(target(images))
    error = values - values.mean(axis=-1, keepdims=True)
    loss = keras.losses.get(LOSSES[FLAGS.loss or ("l2" if is_mae() else "l1")])
    return float(keras.ops.mean(loss(np.zeros_like(error), error)))


def shows_pixels():
    """Returns whether what is predicted can be looked at."""
    return FLAGS.target in ("pixels", "pca")
