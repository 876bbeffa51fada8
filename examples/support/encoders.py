"""The encoder that is pre-trained."""

from absl import flags

import keras_mim

FLAGS = flags.FLAGS
flags.DEFINE_integer("image_size", 64, "Side of the training crops, pixels.")
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


def image_shape():
    return (FLAGS.image_size, FLAGS.image_size, 3)


def window_size():
    return FLAGS.window_size or max(FLAGS.image_size // 32, 4)


def make_encoder(shallow=False):
    """Returns the encoder, or one that has one block (of each stage)."""
    is_swin = FLAGS.encoder.startswith("swin")
    return _make_swin(shallow) if is_swin else _make_vit(shallow)


def _make_vit(shallow):
    options = {
        "patch_size": FLAGS.patch_size or 8,
        "positions": FLAGS.positions,
        "layer_scale": FLAGS.layer_scale,
        "use_key_bias": FLAGS.key_bias,
        "initialization": FLAGS.initialization,
        "drop_path_rate": FLAGS.drop_path_rate,
        "remat": FLAGS.remat,
    }
    if shallow:
        options["num_layers"] = 1
    if FLAGS.encoder != "vit":
        size = FLAGS.encoder.removeprefix("vit_")
        return keras_mim.encoders.ViT.from_size(size, image_shape(), **options)
    sizes = {
        "hidden_dim": FLAGS.hidden_dim,
        "num_layers": FLAGS.num_layers,
        "num_heads": FLAGS.num_heads,
        "mlp_dim": 4 * FLAGS.hidden_dim,
    }
    return keras_mim.encoders.ViT(image_shape(), **{**sizes, **options})


def _make_swin(shallow):
    options = {
        "patch_size": FLAGS.patch_size or 4,
        "window_size": window_size(),
        "drop_path_rate": FLAGS.drop_path_rate,
        "remat": FLAGS.remat,
    }
    if FLAGS.encoder != "swin":
        if shallow:
            options["depths"] = (1, 1, 1, 1)
        kind, _, size = FLAGS.encoder.rpartition("_")
        encoders = {
            "swin": keras_mim.encoders.Swin,
            "swin_v2": keras_mim.encoders.SwinV2,
        }
        return encoders[kind].from_size(size, image_shape(), **options)
    return keras_mim.encoders.Swin(
        image_shape(),
        hidden_dim=FLAGS.hidden_dim,
        depths=[1 if shallow else int(depth) for depth in FLAGS.depths],
        num_heads=[FLAGS.num_heads * 2**i for i in range(len(FLAGS.depths))],
        **options,
    )
