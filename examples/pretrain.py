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

Writes to --output_dir: model.keras, encoder.keras, encoder/ (a SavedModel),
reconstructions.png and reconstructions/ (one picture every few epochs),
loss.png, history.csv and config.json.
"""

import os

# TensorFlow leaves oneDNN off on CPUs without AVX512, where it is half as fast
# again; it asks when it is imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import distributing
import keras
import numpy as np
import training
from absl import app
from absl import flags

import keras_mim
from keras_mim.callbacks import ReconstructionCallback
from keras_mim.callbacks import save_reconstruction_grid
from keras_mim.data import ColorJitter
from keras_mim.data import ImagePipeline
from keras_mim.ops import channel_statistics

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(training)
flags.adopt_module_key_flags(distributing)
FLAGS.set_default("base_learning_rate", 6e-3)
flags.DEFINE_enum("method", "mae", ["mae", "simmim"], "What to train.")
flags.DEFINE_integer("image_size", 64, "Side of the training crops, pixels.")
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

# The encoder.
SIZES = ["vit", "swin"]
SIZES += [f"vit_{s}" for s in ("tiny", "small", "base", "large", "huge")]
SIZES += [f"swin_{s}" for s in ("tiny", "small", "base", "large")]
SIZES += [f"swin_v2_{s}" for s in ("tiny", "small", "base", "large", "huge")]
flags.DEFINE_enum(
    "encoder",
    "vit",
    SIZES,
    "A size of the papers; or 'vit' or 'swin', whose size the next flags tell. "
    "Swin is for SimMIM alone.",
)
flags.DEFINE_integer(
    "hidden_dim", 128, "Width of 'vit', and of the first stage of 'swin'."
)
flags.DEFINE_integer("num_layers", 6, "Blocks of 'vit'.")
flags.DEFINE_list(
    "depths", ["2", "2"], "Blocks in each stage of 'swin', which halves grids."
)
flags.DEFINE_integer(
    "num_heads",
    4,
    "Attention heads of 'vit', and of the first stage of 'swin'.",
)
flags.DEFINE_integer(
    "patch_size", None, "Side of a patch, pixels; None: 8 for ViT, 4 for Swin."
)
flags.DEFINE_integer(
    "window_size",
    None,
    "Swin: side of a window in tokens; None: all of the last stage, 4 or more.",
)
flags.DEFINE_enum(
    "positions",
    "sine_cosine",
    ["sine_cosine", "learned", "relative", "shared_relative"],
    "ViT: how it knows where a patch is. SimMIM's: shared_relative.",
)
flags.DEFINE_float(
    "layer_scale", None, "ViT: first factor of LayerScale. SimMIM's: 0.1."
)
flags.DEFINE_boolean("key_bias", True, "ViT: a bias of keys. SimMIM's: none.")
flags.DEFINE_enum(
    "initialization", "mae", ["mae", "beit"], "ViT. SimMIM's: beit."
)
flags.DEFINE_float("drop_path_rate", 0.0, "Stochastic depth in the encoder.")
flags.DEFINE_boolean(
    "remat", False, "Compute activations twice rather than keep them."
)

# The other parts.
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

flags.DEFINE_integer(
    "picture_every", 5, "Epochs between two pictures of reconstructions."
)

LOSSES = {"l1": "mae", "smooth_l1": "huber", "l2": "mse"}  # Keras's names.


def window_size():
    return FLAGS.window_size or max(FLAGS.image_size // 32, 4)


def make_encoder(image_shape):
    kind, _, size = FLAGS.encoder.rpartition("_")
    common = {
        "drop_path_rate": FLAGS.drop_path_rate,
        "remat": FLAGS.remat,
    }
    if FLAGS.encoder.startswith("swin"):
        common |= {
            "patch_size": FLAGS.patch_size or 4,
            "window_size": window_size(),
        }
        if kind:
            encoders = keras_mim.encoders
            encoder = encoders.Swin if kind == "swin" else encoders.SwinV2
            return encoder.from_size(size, image_shape, **common)
        stages = range(len(FLAGS.depths))
        return keras_mim.encoders.Swin(
            image_shape,
            hidden_dim=FLAGS.hidden_dim,
            depths=[int(depth) for depth in FLAGS.depths],
            num_heads=[FLAGS.num_heads * 2**stage for stage in stages],
            **common,
        )
    common |= {
        "patch_size": FLAGS.patch_size or 8,
        "positions": FLAGS.positions,
        "layer_scale": FLAGS.layer_scale,
        "use_key_bias": FLAGS.key_bias,
        "initialization": FLAGS.initialization,
    }
    if kind:
        return keras_mim.encoders.ViT.from_size(size, image_shape, **common)
    return keras_mim.encoders.ViT(
        image_shape,
        hidden_dim=FLAGS.hidden_dim,
        num_layers=FLAGS.num_layers,
        num_heads=FLAGS.num_heads,
        mlp_dim=4 * FLAGS.hidden_dim,
        **common,
    )


def make_masking():
    mae = FLAGS.method == "mae"
    cell = None if mae else min(32, FLAGS.image_size // 2)
    common = {
        "mask_patch_size": FLAGS.mask_patch_size or cell,
        "seed": FLAGS.seed,
    }
    if FLAGS.masking == "grid":
        return keras_mim.masking.GridMasking(**common)
    return {
        "random": keras_mim.masking.RandomMasking,
        "block": keras_mim.masking.BlockMasking,
        "square": keras_mim.masking.SquareMasking,
    }[FLAGS.masking](FLAGS.mask_ratio or (0.75 if mae else 0.6), **common)


def make_target(encoder, images):
    """Returns the target; `images`, the training batches, fit a PCA."""
    patch_size = encoder.patch_size
    targets = keras_mim.targets
    if FLAGS.target == "pixels":
        mae = FLAGS.method == "mae"
        return targets.PixelTarget(
            normalize=mae if FLAGS.norm_pix is None else FLAGS.norm_pix,
            pool_size=FLAGS.pool_size,
        )
    if FLAGS.target == "pca":
        return targets.PCATarget.fit(
            # Thousands of images are enough, and a minute's work.
            images.take(-(-2000 // FLAGS.batch_size)),
            patch_size=patch_size,
            num_components=FLAGS.num_components,
        )
    if FLAGS.target == "hog":
        return targets.HOGTarget(cell_size=min(8, patch_size))
    if FLAGS.target == "ema":
        return targets.EMATarget(FLAGS.momentum, min(6, len(encoder.blocks)))
    if FLAGS.teacher is None:
        raise app.UsageError(f"--target={FLAGS.target} needs --teacher.")
    teacher = keras.saving.load_model(FLAGS.teacher, compile=False)
    if FLAGS.target == "features":
        return targets.FeatureTarget(teacher)
    return targets.TokenTarget(teacher)


def make_model(image_shape, images):
    encoder = make_encoder(image_shape)
    masking = make_masking()
    target = make_target(encoder, images)
    if FLAGS.method == "mae":
        head = keras_mim.layers.MAEHead(
            FLAGS.decoder_dim,
            FLAGS.decoder_layers,
            FLAGS.decoder_heads,
            remat=FLAGS.remat,
        )
        method = keras_mim.SimMIM if FLAGS.mask_tokens else keras_mim.MAE
        return method(encoder, masking, head, target, FLAGS.loss_on_all_patches)
    heads = keras_mim.layers
    if FLAGS.simmim_head == "linear":
        # One prediction for each square that is larger than a patch.
        head = heads.SimMIMHead(max(FLAGS.pool_size // encoder.patch_size, 1))
    elif FLAGS.simmim_head == "mlp":
        head = heads.MLPHead()
    else:
        size = FLAGS.simmim_head.removeprefix("inverse_swin_")
        head = heads.InverseSwinHead.from_size(size, window_size=window_size())
    return keras_mim.SimMIM(
        encoder, masking, head, target, FLAGS.loss_on_all_patches
    )


def make_optimizer(model, steps_per_epoch):
    beta_2 = 0.95 if FLAGS.method == "mae" else 0.999  # The papers'.
    optimizer = keras.optimizers.AdamW(
        training.make_schedule(steps_per_epoch),
        FLAGS.weight_decay,
        beta_2=beta_2,
        epsilon=1e-8,
        global_clipnorm=FLAGS.clip_norm,
    )
    # As in the papers: no decay for biases and norms.
    optimizer.exclude_from_weight_decay(
        [w for w in model.trainable_weights if len(w.shape) < 2]
    )
    return optimizer


def mean_baseline(model, images):
    """Returns the loss of predicting the mean of every patch."""
    target = keras.ops.convert_to_numpy(model.target(images))
    error = target - target.mean(axis=-1, keepdims=True)
    loss = FLAGS.loss or ("l2" if FLAGS.method == "mae" else "l1")
    values = keras.losses.get(LOSSES[loss])(np.zeros_like(error), error)
    return float(keras.ops.mean(values))


def make_pipeline(image_shape, batch_size, **options):
    """Returns the pipeline to train from."""
    mae = FLAGS.method == "mae"
    return ImagePipeline(
        image_shape,
        batch_size,
        seed=FLAGS.seed,
        drop_remainder=True,
        scale=(FLAGS.crop_scale or (0.2 if mae else 0.67), 1.0),
        interpolation=interpolation(),
        crop=FLAGS.crop,
        flip=FLAGS.flip,
        **options,
    )


def make_plain_pipeline(image_shape, batch_size, whole=False, **options):
    """Returns the pipeline to look at images as they are.

    With `whole`, all can be read, and their number is known in advance.
    """
    return ImagePipeline(
        image_shape,
        batch_size,
        augment=False,
        crop_ratio=1.0,
        interpolation=interpolation(),
        on_error="raise" if whole or training.is_pack(FLAGS.data) else "skip",
        **options,
    )


def interpolation():
    default = "bicubic" if FLAGS.method == "mae" else "bilinear"
    return FLAGS.interpolation or default


def compile_model(model, steps_per_epoch):
    loss = LOSSES.get(FLAGS.loss)
    if loss is None and FLAGS.mask_tokens and not model.target.default_loss:
        loss = "mse"  # MAE's, though the method is SimMIM's.
    model.compile(
        optimizer=make_optimizer(model, steps_per_epoch),
        loss=loss,
        jit_compile="auto" if FLAGS.jit_compile is None else FLAGS.jit_compile,
    )


def main(_):
    place = distributing.start()
    folder, finished_epochs = training.open_run(FLAGS.method, place.chief)
    keras.utils.set_random_seed(FLAGS.seed)
    keras.config.set_dtype_policy(FLAGS.precision)

    image_shape = (FLAGS.image_size, FLAGS.image_size, 3)
    mean, std = channel_statistics(3)
    train = training.make_train(
        make_pipeline(
            image_shape,
            place.batch_size(),
            first_epoch=finished_epochs,
            shard=place.shard,
        )
    )
    if FLAGS.color_jitter:
        jitter = ColorJitter(FLAGS.color_jitter, seed=place.seed(FLAGS.seed))
        train = train.map(jitter, num_parallel_calls=2).prefetch(2)
    validation = training.make_dataset(
        make_plain_pipeline(
            image_shape,
            place.batch_size(),
            whole=place.replicas > 1,
            shard=place.shard,
            drop_remainder=place.replicas > 1,
        ),
        FLAGS.data,
        "validation",
    )
    if place.replicas > 1 and validation and not place.steps(validation):
        validation = None  # Fewer images than a batch.
    # What follows is the same in every process.
    plain = make_plain_pipeline(image_shape, FLAGS.batch_size)
    whole = training.make_dataset(plain, FLAGS.data, "validation")
    images = next(
        iter(whole or training.make_dataset(plain, FLAGS.data, "train"))
    )
    images = np.asarray(images)

    steps_per_epoch = place.steps(train)
    with place.scope:
        to_fit = make_pipeline(image_shape, FLAGS.batch_size)
        model = make_model(image_shape, training.make_train(to_fit))
        compile_model(model, steps_per_epoch)
    if place.chief:
        model.summary()
    callbacks = training.make_callbacks(folder, place.backup)
    shows = FLAGS.target in ("pixels", "pca")
    if shows:
        watch = ReconstructionCallback(
            images[:8],
            folder / "reconstructions",
            every_epochs=FLAGS.picture_every,
            mean=mean,
            std=std,
        )
        callbacks.append(watch)
    place.fit(
        model, train, validation, FLAGS.epochs, finished_epochs, callbacks
    )
    model = place.finish(model, folder / "model.keras")
    if model is None:  # The first process does the rest.
        return

    model.encoder.save(folder / "encoder.keras")
    keras_mim.serving.export_encoder(
        model.encoder,
        folder / "encoder",
        pooling="cls" if model.encoder.num_prefix_tokens else "mean",
        mean=mean,
        std=std,
    )
    if shows:
        save_reconstruction_grid(
            model.reconstruct(watch.images, watch.masked),
            folder / "reconstructions.png",
            mean,
            std,
        )
        print(f"See {folder}/reconstructions.png.")
    training.write_curve(
        folder / "history.csv",
        folder / "loss.png",
        "loss",
        "loss on hidden patches",
    )
    if whole is not None:
        loss = model.evaluate(whole, verbose=0)
        print(f"validation loss, hidden patches: {loss:.3f}")
        if FLAGS.target == "pixels":
            print(
                "the same for predicting each patch's mean: "
                f"{mean_baseline(model, images):.3f}"
            )
    print(f"The encoder to serve is in {folder}/encoder.")
    training.close_run(folder)


if __name__ == "__main__":
    app.run(main)
