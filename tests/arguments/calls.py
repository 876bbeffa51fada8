"""A right call of everything public, and the kind of each argument.

An entry is a name of `public_calls`, and what that is called with: by argument
the kind, a right value, and more wrong values that are this argument's own.
"""

import functools
import pathlib
import tempfile

import keras
import numpy as np

import keras_mim
from keras_mim import layers
from keras_mim import masking
from keras_mim import targets
from tests import tiny
from tests.arguments.values import GRAY
from tests.arguments.values import NAN
from tests.arguments.values import NO_OBJECTS

SHAPE = (8, 12, 3)  # Six patches of 4 pixels.
TOKENS = tiny.normal(2, 7, 8)
PATCHES = tiny.normal(2, 6, 8)
IMAGES = tiny.images()
MASKED = np.array([[True, False] * 3] * 2)
LABELS = np.array([0, 1, 0, 1])
FEATURES = tiny.normal(4, 5)
CELLS = {"target_dim": 5, "grid": (2, 3), "num_prefix_tokens": 1}

# What several have.
HEAD = {
    "target_dim": ("count?", 5),
    "grid": ("sizes?", (2, 3)),
    "num_prefix_tokens": ("natural?", 1),
}
ON_TOKENS = {"tokens": ("tensor", TOKENS)}
ON_PATCHES = {"tokens": ("tensor", PATCHES)}
ON_IMAGES = {"images": ("tensor", IMAGES)}
MASK_CALL = {"masked": ("tensor", MASKED, [MASKED * 1, MASKED * 1.0])}
HEAD_CALL = {"tokens": ("tensor", TOKENS), "masked": ("tensor", MASKED)}
CELL = {
    "mask_patch_size": ("count?", None, [3]),
    "patch_size": ("count?", 4),
    "seed": ("seed", 0),
}
MASKING = {"mask_ratio": ("(0, 1)", 0.5), **CELL}
GRID = {"grid": ("sizes", (2, 6))}
POOLED = {
    "pool_size": ("count", 1, [3]),
    "patch_size": ("count?", 4),
}
TO_IMAGES = {"images": ("array", IMAGES)}
INITIALIZERS = {
    "kernel_initializer": ("initializer", "glorot_uniform"),
    "output_kernel_initializer": ("initializer?", None),
}
BLOCK = {
    "num_heads": ("count", 2),
    "mlp_dim": ("count", 16),
    "drop_path_rate": ("[0, 1)", 0.0),
    "remat": ("flag", False),
}
WINDOW = {
    "num_heads": ("count", 2),
    "window_size": ("count", 2),
    "shift_size": ("natural", 0, [2]),
}
PRETRAINED = {"pretrained_window_size": ("count?", None)}
POOLING = ("choice?", None)
WINDOW_ENCODER = {
    "image_shape": ("image_shape", SHAPE, [(7, 12, 3)]),
    "patch_size": ("count", 2, [5]),
    "hidden_dim": ("count", 8),
    "depths": ("stages", (1, 1)),
    "num_heads": ("stages", (1, 2)),
    "window_size": ("count", 2),
    "mlp_ratio": ("(0, inf)", 4),
    "drop_path_rate": ("[0, 1)", 0.0),
    "remat": ("flag", False),
}
NORMALIZATION = ("normalization", None, [GRAY])
LOADING = {
    "checkpoint": ("path", "nowhere.pth", ["nowhere.pth"]),
    "allow_missing": ("names", ()),
    "grid": ("sizes?", None),
    "adapt_channels": ("flag", False),
}
NAMES = ("names", None)


# What methods are called on, by the name of the class; and what is called.
OBJECTS = {
    "Normalization": lambda: keras_mim.Normalization.for_channels(3),
    "callbacks.OnlineProbe": lambda: keras_mim.callbacks.OnlineProbe(
        (tiny.images(4), LABELS), (tiny.images(4), LABELS)
    ),
    "data.ImagePipeline": lambda: keras_mim.data.ImagePipeline(SHAPE, 2),
    "distribution.Placement": keras_mim.distribution.Placement,
    "encoders.Encoder": tiny.vit,
    "encoders.Encoder()": lambda: object_of("encoders.Encoder"),
    "encoders.Swin()": tiny.swin,
    "encoders.SwinV2": tiny.swin_v2,
    "encoders.SwinV2()": lambda: object_of("encoders.SwinV2"),
    "encoders.ViT": lambda: object_of("encoders.Encoder"),
    "encoders.ViT()": lambda: object_of("encoders.Encoder"),
    "layers.GridHead": lambda: _built(
        layers.GridHead(**CELLS), (None, 7, 8), (None, 6)
    ),
    "layers.PositionEmbedding": lambda: _built(
        layers.PositionEmbedding((2, 3)), (None, 7, 8)
    ),
    "layers.RelativePositionBias": lambda: _built(
        layers.RelativePositionBias((2, 3), 2), (None, 7, 8)
    ),
    "layers.WindowAttention": lambda: _built(
        layers.WindowAttention(2, 2), (None, 4, 6, 8)
    ),
    "masking.BlockMasking": lambda: masking.BlockMasking(0.5, patch_size=4),
    "masking.GridMasking": lambda: masking.GridMasking(patch_size=4),
    "masking.Masking": lambda: masking.RandomMasking(0.5, patch_size=4),
    "masking.RandomMasking": lambda: masking.RandomMasking(0.5, patch_size=4),
    "masking.SquareMasking": lambda: masking.SquareMasking(0.3, patch_size=2),
    "models.MAE()": lambda: object_of("models.MaskedImageModel"),
    "models.MaskedImageModel": lambda: tiny.mae(object_of("encoders.Encoder")),
    "models.SimMIM()": lambda: tiny.simmim(object_of("encoders.Encoder")),
    "random.ReplicaSeeds": lambda: keras_mim.random.ReplicaSeeds(0),
    "targets.ColorBinTarget": lambda: targets.ColorBinTarget(patch_size=4),
    "targets.ColorClusterTarget": lambda: _clusters(),
    "targets.EMATarget()": lambda: _attached(object_of("encoders.Encoder")),
    "targets.PCATarget": lambda: _pca(),
    "targets.PixelTarget": lambda: targets.PixelTarget(patch_size=4),
    "targets.Target": lambda: targets.PixelTarget(patch_size=4),
    "transfer.LinearProbeSweep": lambda: keras_mim.transfer.LinearProbeSweep(
        5, 3, (0.1, 1.0)
    ),
}


@functools.cache
def object_of(name):
    """Returns one of `OBJECTS`, which is made when it is asked for."""
    return OBJECTS[name]()


def _built(layer, *shapes):
    layer.build(*shapes)
    return layer


def _attached(encoder):
    target = targets.EMATarget(num_layers=1, patch_size=4)
    target.attach(encoder)
    return target


def _clusters():
    return targets.ColorClusterTarget(tiny.normal(4, 3), patch_size=4)


def _pca():
    basis = np.linalg.qr(tiny.normal(48, 5))[0].T
    return targets.PCATarget(basis, np.zeros(48, "float32"), patch_size=4)


@functools.cache
def base_calls():
    """Returns the table: by name, what is given for each argument."""
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensors((IMAGES, [0, 1]))
    folder = pathlib.Path(tempfile.mkdtemp())
    vit = object_of("encoders.Encoder")
    mae = object_of("models.MaskedImageModel")
    classifier = keras_mim.transfer.Classifier(vit, 2)
    seeds = keras_mim.random.ReplicaSeeds(0)
    model = ("object", mae)
    encoder = ("object", vit, [mae, classifier])
    of_model = {"model": ("object", classifier)}
    tokenizer = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 4, strides=4)]
    )
    columns = "original", "masked_image", "reconstruction", "pasted"
    shown = {**dict.fromkeys(columns, IMAGES), "masked": MASKED}
    images, labels = tiny.images(4), LABELS
    pairs = ("pair", (images, labels), [(images, labels[:2])])
    pixels = np.zeros((2, 8, 12, 3), "uint8")
    pack = pathlib.Path(__file__).parents[2] / "examples/data/clothing64.npz"
    masks = {"masked": ("mask", MASKED)}
    loading = {"model": model, **LOADING}
    mesh = keras.distribution.DeviceMesh
    votes = {
        "train_features": ("floats", FEATURES),
        "train_labels": ("labels", LABELS, [LABELS[:-1]]),
        "features": ("floats", FEATURES),
        "num_classes": ("count", 2),
    }
    parts = {
        "encoder": encoder,
        "masking": ("object?", None),
        "head": ("object?", None),
        "target": ("object?", None),
        "loss_on_all_patches": ("flag", False),
    }
    source = {"labels": ("flag", False), "class_names": NAMES}
    return {
        "Normalization": {
            "mean": ("numbers", (0.5, 0.5), [None]),
            "std": ("numbers", (0.5, 0.5), [None, (0.0, 1.0), (-1.0, 1.0)]),
        },
        "Normalization.for_channels": {"channels": ("count", 3)},
        "Normalization.resolve": {
            "normalization": NORMALIZATION,
            "channels": ("count", 3),
        },
        "Normalization.normalize": {"pixels": ("pixels", IMAGES)},
        "Normalization.as_normalized": {"images": ("pixels", IMAGES)},
        "Normalization.denormalize": {"images": ("pixels", IMAGES)},
        "Normalization.check_range": {"images": ("pixels", IMAGES)},
        "callbacks.Backup": {
            "backup_dir": ("path", folder / "backup"),
            "save_freq": ("count", 2),
            "delete_checkpoint": ("flag", True),
        },
        "callbacks.FiniteCheck": {"max_skipped": ("natural", 0)},
        "callbacks.OnlineProbe": {
            "train": pairs,
            "validation": pairs,
            "pooling": POOLING,
            "every_epochs": ("count", 1),
            "batch_size": ("count", 2),
        },
        "callbacks.OnlineProbe.accuracy": {"encoder": encoder},
        "callbacks.ReconstructionCallback": {
            "images": ("array", IMAGES),
            "output_dir": ("path", folder / "out"),
            "masked": ("mask?", None, [IMAGES]),
            "every_epochs": ("count", 1),
            "log_dir": ("path?", None),
        },
        "callbacks.reconstruction_columns": {
            "result": ("object", shown, [{"original": IMAGES}]),
            "normalization": NORMALIZATION,
        },
        "callbacks.reconstruction_grid": {
            "result": ("object", shown),
            "normalization": NORMALIZATION,
        },
        "callbacks.save_image_grid": {
            "columns": ("object", {"a": pixels}, [{"a": IMAGES}, {"a": 5}]),
            "path": ("path", folder / "grid.png"),
        },
        "callbacks.save_reconstruction_grid": {
            "result": ("object", shown),
            "path": ("path", folder / "shown.png"),
            "normalization": NORMALIZATION,
        },
        "converters.from_checkpoint": {
            "checkpoint": ("path", {}),
            "image_shape": ("image_shape?", None),
            "num_heads": ("count?", None),
            "decoder_num_heads": ("count?", None),
            "normalize": ("flag?", None),
            "grid": ("sizes?", None),
            "allow_missing": ("names", ()),
            "window_size": ("count?", None),
        },
        "converters.from_keras_hub": {"backbone": ("object", vit)},
        "converters.load_beit": loading,
        "converters.load_hf_vit": loading,
        "converters.load_hf_vit_mae": loading,
        "converters.load_mae": loading,
        "converters.load_simmim": loading,
        "converters.load_swin": loading,
        "converters.load_timm_vit": {"encoder": encoder, **LOADING},
        "converters.load_dalle": {
            "encoder": ("object", tokenizer),
            "checkpoint": LOADING["checkpoint"],
        },
        "converters.load_encoder": {
            "encoder": encoder,
            "other": ("object", tiny.vit()),
        },
        "converters.to_keras_hub": {"encoder": encoder},
        "converters.to_torch_state_dict": {
            "model": model,
            "layout": ("choice", "mae"),
        },
        "data.ColorJitter": {
            "strength": ("[0, 1]", 0.4),
            "normalization": NORMALIZATION,
            "seed": ("any_seed", 0),
        },
        "data.ColorJitter()": {"images": ("dataset", tf.constant(IMAGES))},
        "data.FineTuneAugmentation": {
            "num_classes": ("count", 4),
            "rand_augment": ("flag", False),
            "erase_rate": ("[0, 1]", 0.25),
            "mixup_alpha": ("[0, inf)", 0.8),
            "cutmix_alpha": ("[0, 1]", 1.0),
            "label_smoothing": ("[0, 1]", 0.1),
            "normalization": NORMALIZATION[:2],
            "seed": ("any_seed", 0),
            "first_epoch": ("natural", 0),
        },
        "data.FineTuneAugmentation()": {
            "batches": ("dataset", batches, [batches.map(lambda x, y: x)])
        },
        "data.ImagePipeline": {
            "max_pixels": ("count", 100),
            "image_shape": ("image_shape", SHAPE),
            "batch_size": ("count", 2),
            "augment": ("flag", True),
            "scale": ("pair", (0.2, 1.0), [(0.2, 1.1), (1.0, 0.2)]),
            "ratio": ("pair", (0.7, 1.3), [(1.3, 0.7), (0, 1)]),
            "flip": ("flag", True),
            "crop_ratio": ("(0, 1]", 0.875),
            "normalization": NORMALIZATION,
            "shuffle": ("count?", None),
            "seed": ("any_seed", 0),
            "on_error": ("choice", "skip"),
            "drop_remainder": ("flag", False),
            "interpolation": ("choice", "bicubic"),
            "crop": ("choice", "center"),
            "first_epoch": ("natural", 0),
            "shard": ("pair", (0, 1), [(1, 1), (-1, 2)]),
            "dtype": ("choice", "float32"),
        },
        "data.ImagePipeline.from_arrays": {
            "images": ("array", IMAGES[..., :3] * 0 + 2, [IMAGES[..., :1]]),
            "labels": ("labels?", np.array([0, 1]), [np.array([0])]),
            "value_range": ("pair?", (0, 255), [(1, 0), (0, 0)]),
        },
        "data.ImagePipeline.from_folder": {
            "path": ("path", pack.parent / "photos", ["nowhere"]),
            **source,
        },
        "data.ImagePipeline.from_pack": {
            "path": ("path", pack, ["nowhere"]),
            "split": ("choice", "test"),
            **source,
        },
        "data.ImagePipeline.from_tfds": {
            "name": ("text", "keras_mim_nothing"),
            "split": ("text", "train"),
            "labels": ("flag", False),
            "data_dir": ("path?", None),
            "class_names": NAMES,
        },
        "data.find_splits": {
            "names": ("text", ["train", "val"], ["x", [1, 2], ["other"]]),
            "classes": ("flag", False),
            "train": ("text?", None),
            "validation": ("text?", None),
            "test": ("text?", None),
        },
        "data.read_images": {
            "paths": (
                "path",
                [pack.parent / "photos/kodak_01.jpg"],
                ["x", [5], ["nowhere"]],
            ),
            "image_shape": ("image_shape", SHAPE, [(8, 12, 2)]),
            "crop_ratio": ("(0, 1]", 1.0),
        },
        "data.read_pack": {
            "path": ("path", pack, ["nowhere"]),
            "split": ("choice", "test"),
        },
        "distribution.Placement": {
            "index": ("natural", 0, [1]),
            "count": ("count", 1),
            "replicas": ("count", 1),
            "shares": ("count?", None),
        },
        "distribution.Placement.backup": {
            "folder": ("path", folder / "backup"),
            "delete_checkpoint": ("flag", True),
        },
        "distribution.Placement.batch_size": {
            "global_batch_size": ("count", 4)
        },
        "distribution.Placement.chief_model": {"model": of_model["model"]},
        "distribution.Placement.chief_only": {
            "callback": ("object", keras.callbacks.Callback())
        },
        "distribution.Placement.finish": {
            "model": of_model["model"],
            "path": ("path", folder / "model.keras"),
        },
        "distribution.Placement.fit": {
            "model": of_model["model"],
            "batches": ("nothing", []),
            "validation_data": ("nothing", None),
            "epochs": ("count", 1),
            "initial_epoch": ("natural", 0),
            "callbacks": ("object", ()),
        },
        "distribution.Placement.seed": {
            "seed": ("nothing", 0, [None, "x", 1.5, NAN, True, [], {}]),
        },
        "distribution.Placement.steps": {
            "batches": ("nothing", [1, 2], [None, 5, NAN_ITERATOR]),
        },
        "distribution.layout_map": {
            "device_mesh": ("object", mesh((1,), ["batch"], ["cpu:0"])),
            "model_dim": ("choice", "batch"),
        },
        "distribution.start": {"kind": ("choice?", None)},
        "encoders.Encoder": {
            "image_shape": ("image_shape", SHAPE),
            "patch_size": ("count", 4, [5]),
            "patch_embedding": ("layer", layers.PatchEmbedding(4, 8)),
            "trunk": ("object", vit.trunk),
            "blocks": ("nothing", vit.blocks, [None, "x", 5, NAN, True, {}]),
            "features": ("object", [(vit.trunk.output, (2, 3), 4)]),
            "position_embedding": ("layer?", vit.position_embedding),
            "norm": ("layer?", None),
            "num_prefix_tokens": ("natural", 1),
            "normalization": NORMALIZATION,
        },
        "encoders.Encoder()": {"inputs": ("array", IMAGES)},
        "encoders.Swin()": {"inputs": ("array", IMAGES)},
        "encoders.SwinV2()": {"inputs": ("array", IMAGES)},
        "encoders.ViT()": {"inputs": ("array", IMAGES)},
        "encoders.Encoder.copy": {
            "image_shape": ("image_shape", (16, 16, 3)),
            "drop_path_rate": ("[0, 1)", 0.1),
            "nothing": ("unknown", None, [1]),
        },
        "encoders.Encoder.feature_maps": {
            "images": ("array", IMAGES, [IMAGES[:, :4], IMAGES[..., :1]]),
            "layers": ("stages", [0], [[9], ["P9"], [-1]]),
        },
        "encoders.Encoder.from_size": {
            "size": ("choice", "tiny"),
            "image_shape": ("image_shape", (8, 8, 3)),
            "patch_size": ("count", 8, [3]),
        },
        "encoders.Encoder.load_weights_of": {
            "other": ("object", tiny.vit(), [tiny.vit(num_layers=2)])
        },
        "encoders.ViT.load_weights_of": {
            "other": ("object", tiny.vit(), [tiny.vit(hidden_dim=16)])
        },
        "encoders.Swin": {
            **WINDOW_ENCODER,
            "normalization": NORMALIZATION,
            "block_options": ("nothing", None),
        },
        "encoders.SwinV2": {
            **WINDOW_ENCODER,
            "pretrained_window_sizes": (
                "nothing",
                (0, 0),
                ["x", 5, NAN, True, [], (1,), (-1, 1), (0.5, 0), (NAN, 1)],
            ),
            "extra_norm_every": ("count?", None),
            "normalization": NORMALIZATION,
        },
        "encoders.SwinV2.copy": {
            "window_size": ("count", 3),
            "nothing": ("unknown", None, [1]),
        },
        "encoders.ViT": {
            "image_shape": ("image_shape", SHAPE, [(7, 12, 3)]),
            "patch_size": ("count", 4, [3]),
            "hidden_dim": ("count", 8, [6, 9]),
            "num_layers": ("count", 1),
            "num_heads": ("count", 2, [3]),
            "mlp_dim": ("count", 16),
            "use_class_token": ("flag", True),
            "positions": ("choice", "sine_cosine"),
            "drop_path_rate": ("[0, 1)", 0.0),
            "layer_scale": ("(-inf, inf)?", 0.1),
            "use_key_bias": ("flag", True),
            "initialization": ("choice", "mae"),
            "use_final_norm": ("flag", True),
            "remat": ("flag", False),
            "normalization": NORMALIZATION,
        },
        "layers.Attention": {
            "num_heads": ("count", 2),
            "use_key_bias": ("flag", True),
            **INITIALIZERS,
        },
        "layers.Attention()": {
            **ON_TOKENS,
            "bias": ("tensor?", tiny.normal(1, 2, 7, 7)),
        },
        "layers.ClassToken": {"initializer": ("initializer?", None)},
        "layers.ClassToken()": ON_PATCHES,
        "layers.DropPath": {"rate": ("[0, 1)", 0.1), "seed": ("seed", 0)},
        "layers.DropPath()": {"inputs": ("tensor", TOKENS)},
        "layers.GatherVisible": {"num_prefix_tokens": ("natural", 1)},
        "layers.GatherVisible()": {
            **ON_TOKENS,
            "masked": ("tensor", MASKED, [MASKED[:, :5]]),
            "num_visible": ("count", 3),
        },
        "layers.GridHead": HEAD,
        "layers.GridHead.linear": {
            "input_dim": ("count", 8),
            "units": ("count", 5),
            "name": ("nothing", "linear"),
        },
        "layers.GridHead.to_patches": {
            "values": ("array", tiny.normal(2, 6, 5)),
            "repeats": ("count", 1),
        },
        "layers.Head": HEAD,
        "layers.InverseSwinHead": {
            "hidden_dim": ("count", 8),
            "depths": ("stages", (1, 1)),
            "num_heads": ("stages", (1, 2)),
            "window_size": ("count", 2),
            **HEAD,
        },
        "layers.InverseSwinHead()": HEAD_CALL,
        "layers.InverseSwinHead.from_size": {"size": ("choice", "tiny")},
        "layers.LayerScale": {"initial_value": ("(-inf, inf)", 0.1)},
        "layers.LayerScale()": ON_TOKENS,
        "layers.MAEHead": {
            "hidden_dim": ("count", 8, [9]),
            "num_layers": ("natural", 1),
            "num_heads": ("count", 2, [3]),
            "mlp_dim": ("count?", None),
            **HEAD,
            "remat": ("flag", False),
        },
        "layers.MAEHead()": HEAD_CALL,
        "layers.MLPHead": {"hidden_dim": ("count?", 8), **HEAD},
        "layers.MLPHead()": HEAD_CALL,
        "layers.MaskToken": {"initializer": ("initializer?", None)},
        "layers.MaskToken()": {**ON_PATCHES, **MASK_CALL},
        "layers.OneSigmaNormal": {
            "stddev": ("[0, inf)", 0.02),
            "seed": ("seed", 0),
        },
        "layers.OneSigmaNormal()": {"shape": ("nothing", (2, 3))},
        "layers.PatchEmbedding": {
            "patch_size": ("count", 4),
            "hidden_dim": ("count", 8),
            "kernel_initializer": ("initializer", "glorot_uniform"),
            "bias_initializer": ("initializer?", None),
        },
        "layers.PatchEmbedding()": {
            "images": ("tensor", IMAGES, [IMAGES[:, :7]])
        },
        "layers.PatchMerging": {
            "grid": ("sizes", (2, 3)),
            "norm_last": ("flag", False),
        },
        "layers.PatchMerging()": ON_PATCHES,
        "layers.PatchSplitting": {"grid": ("sizes", (2, 3))},
        "layers.PatchSplitting()": ON_PATCHES,
        "layers.PositionEmbedding": {
            "grid": ("sizes", (2, 3)),
            "kind": ("choice", "learned"),
            "num_prefix_tokens": ("natural", 1),
            "initializer": ("initializer?", None),
        },
        "layers.PositionEmbedding()": ON_TOKENS,
        "layers.PositionEmbedding.resized_table": {
            "other": ("object", object_of("layers.PositionEmbedding"))
        },
        "layers.RelativePositionBias": {
            "grid": ("sizes", (2, 3)),
            "num_heads": ("count", 2),
            "num_prefix_tokens": ("natural", 1, [2]),
        },
        "layers.RelativePositionBias()": ON_TOKENS,
        "layers.RelativePositionBias.resized_table": {
            "other": ("object", object_of("layers.RelativePositionBias"))
        },
        "layers.RestoreTokens": {
            "num_prefix_tokens": ("natural", 1),
            "stddev": ("[0, inf)", 0.02),
        },
        "layers.RestoreTokens()": {
            "tokens": ("tensor", tiny.normal(2, 4, 8)),
            **MASK_CALL,
        },
        "layers.SimMIMHead": {"prediction_side": ("count", 1), **HEAD},
        "layers.SimMIMHead()": HEAD_CALL,
        "layers.SwinBlock": {
            "grid": ("sizes", (2, 3)),
            **WINDOW,
            **BLOCK,
        },
        "layers.SwinBlock()": ON_PATCHES,
        "layers.SwinV2Block": {
            "grid": ("sizes", (2, 3)),
            **WINDOW,
            **BLOCK,
            **PRETRAINED,
            "use_extra_norm": ("flag", False),
        },
        "layers.SwinV2Block()": ON_PATCHES,
        "layers.TransformerBlock": {
            **BLOCK,
            "layer_scale": ("(-inf, inf)?", 0.1),
            "use_key_bias": ("flag", True),
            **INITIALIZERS,
        },
        "layers.TransformerBlock()": {
            **ON_TOKENS,
            "bias": ("tensor?", None, []),
        },
        "layers.WindowAttention": WINDOW,
        "layers.WindowAttention()": {
            "feature_map": ("tensor", tiny.normal(2, 4, 6, 8))
        },
        "layers.WindowAttention.resized_table": {
            "other": ("object", object_of("layers.WindowAttention"))
        },
        "layers.WindowCosineAttention": {**WINDOW, **PRETRAINED},
        "layers.WindowCosineAttention()": {
            "feature_map": ("tensor", tiny.normal(2, 4, 6, 8))
        },
        "masking.BlockMasking": {
            **MASKING,
            "min_block": ("count", 2),
            "min_aspect": ("(0, 1]", 0.3),
            "num_tries": ("count", 2),
        },
        "masking.BlockMasking()": ON_IMAGES,
        "masking.BlockMasking.num_masked": GRID,
        "masking.GridMasking": {"stride": ("count", 2, [1]), **CELL},
        "masking.GridMasking()": {
            "images": ("tensor", tiny.images(2, (8, 16, 3)))
        },
        "masking.GridMasking.num_masked": GRID,
        "masking.Masking.num_masked": GRID,
        "masking.Masking.draw": ON_IMAGES,
        "masking.RandomMasking": MASKING,
        "masking.RandomMasking()": ON_IMAGES,
        "masking.RandomMasking.num_masked": GRID,
        "masking.SquareMasking": {**MASKING, "mask_ratio": ("(0, 1)", 0.2)},
        "masking.SquareMasking()": ON_IMAGES,
        "masking.SquareMasking.num_masked": {"grid": ("sizes", (4, 6))},
        "models.MAE": parts,
        "models.MAE()": {
            "inputs": ("array", IMAGES, [IMAGES[:, :4], IMAGES[..., :1]])
        },
        "models.SimMIM": {**parts, "masking": ("object", _half())},
        "models.SimMIM()": {
            "inputs": ("array", IMAGES, [IMAGES[:, :4], IMAGES[..., :1]])
        },
        "models.MaskedImageModel.draw_masks": {
            "images": ("array", IMAGES, [IMAGES[:, :4], IMAGES[..., :1]])
        },
        "models.MaskedImageModel.predict_patches": {
            "images": ("array", IMAGES, [IMAGES[:, :4], IMAGES[..., :1]]),
            "masked": ("masks", MASKED, [MASKED[:, :5], ~MASKED & MASKED]),
            "batch_size": ("count", 2),
        },
        "models.MaskedImageModel.reconstruct": {
            "images": ("array", IMAGES, [IMAGES[:, :4], IMAGES[..., :1]]),
            "masked": ("masks?", MASKED, [MASKED[:, :5], ~MASKED & MASKED]),
            "batch_size": ("count", 2),
        },
        "ops.attend": {
            "query_key_value": ("array", tiny.normal(2, 5, 3, 2, 4)),
            "bias": ("array?", tiny.normal(1, 2, 5, 5)),
        },
        "ops.average_distance": {"hidden": ("array", np.eye(4)[None] > 0)},
        "ops.check_mask": {
            "masked": ("masks", MASKED),
            "num_images": ("count", 2, [3]),
            "num_patches": ("count", 6, [5]),
        },
        "ops.enlarge": {
            "images": ("array", IMAGES),
            "factor": ("count", 2),
        },
        "ops.gather_tokens": {
            "tokens": ("array", TOKENS),
            "indices": ("array", np.array([[0, 2], [1, 3]])),
        },
        "ops.gelu": {"x": ("floating", FEATURES)},
        "ops.hog": {
            "images": ("array", IMAGES),
            "num_bins": ("count", 9),
            "cell_size": ("count", 4, [3]),
            "gaussian_window": ("natural", 0, [1, 3]),
        },
        "ops.mask_from_noise": {
            "noise": ("array", FEATURES),
            "num_masked": ("natural", 2),
        },
        "ops.mask_from_picture": {
            "picture": ("mask", np.eye(8) > 0),
            "patch_size": ("count", 4, [3]),
            "mask_patch_size": ("count?", None, [3, 6]),
            "share": ("(0, 1]", 1.0),
            "seed": ("any_seed", None, [-1]),
        },
        "ops.mask_to_pixels": {
            **masks,
            "image_shape": ("image_shape", SHAPE, [(8, 8, 3)]),
        },
        "ops.mean_of_values": {
            "logits": ("floating", tiny.normal(2, 3, 3)),
            "value": ("floating", tiny.normal(2, 3, 4)),
            "bias": ("floating?", tiny.normal(3, 3)),
        },
        "ops.normalize_tokens": {
            "tokens": ("floating", TOKENS),
            "gamma": ("floating", np.ones(8, "float32")),
            "beta": ("floating", np.ones(8, "float32")),
            "epsilon": ("[0, inf)", 1e-6),
        },
        "ops.patch_grid": {
            "image_shape": ("image_shape", SHAPE),
            "patch_size": ("count", 4, [3]),
        },
        "ops.patchify": {
            "images": ("array", IMAGES),
            "patch_size": ("count", 4, [3]),
        },
        "ops.relative_position_index": {
            "grid": ("sizes", (2, 3)),
            "num_prefix_tokens": ("natural", 1, [2]),
        },
        "ops.resize_bicubic": {
            "table": ("array", tiny.normal(2, 3, 4)),
            "size": ("sizes", (4, 6)),
        },
        "ops.resize_lanczos": {
            "images": ("array", IMAGES),
            "size": ("sizes", (4, 6)),
        },
        "ops.resize_relative_positions": {
            "table": ("floats", tiny.normal(15, 2)),
            "old_window": ("sizes", (2, 3), [(2, 2)]),
            "new_window": ("sizes", (2, 3)),
        },
        "ops.restore_indices": masks,
        "ops.sine_cosine_positions": {
            "grid": ("sizes", (2, 3)),
            "hidden_dim": ("count", 8, [6]),
            "num_prefix_tokens": ("natural", 1),
        },
        "ops.split_tokens": {
            "tokens": ("array", TOKENS),
            "number": ("natural", 1),
        },
        "ops.take_columns": {
            "table": ("array", FEATURES),
            "indices": ("array", np.array([0, 2])),
        },
        "ops.unpatchify": {
            "patches": ("array", tiny.normal(2, 6, 48)),
            "grid": ("sizes", (2, 3), [(2, 2)]),
            "patch_size": ("count", 4, [5]),
        },
        "ops.visible_indices": {**masks, "num_visible": ("count", 3)},
        "optimizers.LARS": {
            "learning_rate": ("[0, inf)", 6.4),
            "weight_decay": ("[0, inf)?", 0.0),
            "momentum": ("[0, 1)", 0.9, [2]),
            "trust_coefficient": ("[0, inf)", 0.001),
            "learning_rate_scales": ("numbers", None, [(-1.0, 1.0)]),
        },
        "optimizers.LayerwiseAdamW": {
            "learning_rate": ("[0, inf)", 1e-3),
            "weight_decay": ("[0, inf)?", 0.05),
            "epsilon": ("[0, inf)", 1e-8),
            "learning_rate_scales": ("numbers", None, [(-1.0, 1.0)]),
            "decayed": ("numbers", None),
        },
        "optimizers.WarmUp": {
            "schedule": ("[0, inf)", 0.1),
            "warmup_steps": ("natural", 2),
            "initial_learning_rate": ("[0, inf)", 0.0),
        },
        "optimizers.WarmUp()": {"step": ("nothing", 1)},
        "random.ReplicaSeeds": {"seed": ("seed", 0)},
        "random.ReplicaSeeds.replaced_by": {"other": ("object", seeds)},
        "random.seed_states": {"model": model},
        "random.uniform": {
            "shape": ("nothing", (2, 3), [None, "x", 5, True]),
            "seed_generator": ("object", seeds),
        },
        "serving.export_classifier": {
            "classifier": ("object", classifier),
            "path": ("path", folder / "exported"),
            "class_names": ("names", ["a", "b"], [None, ["a"]]),
            "normalization": NORMALIZATION,
            "crop_ratio": ("(0, 1]", 0.875),
        },
        "serving.export_encoder": {
            "encoder": encoder,
            "path": ("path", folder / "encoder"),
            "pooling": POOLING,
            "crop_ratio": ("(0, 1]", 0.875),
        },
        "serving.export_litert": {
            "model": ("object", vit, [mae]),
            "path": ("path", folder / "encoder.tflite"),
            "quantization": ("choice?", None, ["int4"]),
            "pooling": POOLING,
            "normalization": NORMALIZATION,
        },
        "serving.export_onnx": {
            "encoder": encoder,
            "path": ("path", folder / "encoder.onnx"),
            "pooling": POOLING,
        },
        "targets.ColorBinTarget": {
            "num_bins": ("count", 8, [1]),
            "normalization": NORMALIZATION[:2],
            **POOLED,
        },
        "targets.ColorBinTarget()": ON_IMAGES,
        "targets.ColorBinTarget.to_images": {
            "prediction": ("array", tiny.normal(2, 6, 48 * 8)),
            **TO_IMAGES,
        },
        "targets.ColorClusterTarget": {
            "colors": ("floats", tiny.normal(4, 3), [tiny.normal(1, 3)]),
            **POOLED,
        },
        "targets.ColorClusterTarget()": ON_IMAGES,
        "targets.ColorClusterTarget.to_images": {
            "prediction": ("array", tiny.normal(2, 6, 16 * 4)),
            **TO_IMAGES,
        },
        "targets.DalleEncoder": {
            "hidden_dim": ("count", 4, [6]),
            "num_blocks": ("count", 1),
            "num_tokens": ("count", 4),
            "image_shape": ("image_shape", (8, 8, 3), [(7, 8, 3)]),
        },
        "targets.EMATarget": {
            "momentum": ("[0, 1)", 0.9, [2]),
            "num_layers": ("count", 1),
            "patch_size": ("count?", 4),
        },
        "targets.EMATarget()": ON_IMAGES,
        "targets.FeatureTarget": {
            "teacher": encoder,
            "normalize": ("flag", True),
            "patch_size": ("count?", 4),
        },
        "targets.FeatureTarget()": ON_IMAGES,
        "targets.HOGTarget": {
            "num_bins": ("count", 9),
            "cell_size": ("count", 4, [3]),
            "gaussian_window": ("natural", 0, [1]),
            "patch_size": ("count?", 4),
        },
        "targets.HOGTarget()": ON_IMAGES,
        "targets.PCATarget": {
            "components": ("floats", np.eye(5, 48), [np.eye(5, 40)]),
            "mean": ("floats", np.zeros(48)),
            "patch_size": ("count?", 4),
            "normalization": NORMALIZATION[:2],
        },
        "targets.PCATarget()": ON_IMAGES,
        "targets.PCATarget.fit": {
            "images": ("array", tiny.images(4)),
            "patch_size": ("count", 2, [5]),
            "num_components": ("count", 5, [13]),
            "normalization": NORMALIZATION,
        },
        "targets.PCATarget.to_images": {
            "prediction": ("array", tiny.normal(2, 6, 5)),
            **TO_IMAGES,
        },
        "targets.PixelTarget": {"normalize": ("flag", True), **POOLED},
        "targets.PixelTarget()": ON_IMAGES,
        "targets.PixelTarget.to_images": {
            "prediction": ("array", tiny.normal(2, 6, 48)),
            **TO_IMAGES,
        },
        "targets.Target.to_images": {
            "prediction": ("array", tiny.normal(2, 6, 48)),
            **TO_IMAGES,
        },
        "targets.Target.to_pixels": TO_IMAGES,
        "targets.TokenTarget": {
            "tokenizer": ("object", tokenizer),
            "normalization": NORMALIZATION[:2],
            "patch_size": ("count?", 4),
        },
        "targets.TokenTarget()": ON_IMAGES,
        "transfer.Classifier": {
            "encoder": encoder,
            "num_classes": ("count", 2),
            "pooling": POOLING,
            "drop_path_rate": ("[0, 1)?", 0.0),
            "head_stddev": ("[0, inf)", 2e-5),
            "class_names": ("names", ["a", "b"], [["a"]]),
        },
        "transfer.Classifier()": {"inputs": ("array", IMAGES)},
        "transfer.LinearProbe": {
            "encoder": encoder,
            "num_classes": ("count", 2),
            "pooling": POOLING,
            "class_names": ("names", ["a", "b"], [["a"]]),
        },
        "transfer.LinearProbe()": {"inputs": ("array", IMAGES)},
        "transfer.LinearProbeSweep": {
            "feature_dim": ("count", 5),
            "num_classes": ("count", 2),
            "factors": ("numbers", (0.1, 1.0), [None, (), (0.0, 1.0), (-1, 1)]),
        },
        "transfer.LinearProbeSweep.head_weights": {
            "index": ("natural", 0, [2])
        },
        "transfer.extract_features": {
            "model": ("object", vit),
            "batches": ("nothing", [(IMAGES, LABELS[:2])], NO_OBJECTS),
        },
        "transfer.few_labels": {
            "labels": ("labels", LABELS),
            "share": ("(0, 1]", 0.5),
            "seed": ("natural", 0),
        },
        "transfer.knn_votes": {
            **votes,
            "num_neighbors": ("count", 2, [5, [2, 9]]),
            "temperature": ("(0, inf)", 0.07),
            "chunk_size": ("count", 2),
        },
        "transfer.logistic_votes": votes,
        "transfer.decayed_weights": of_model,
        "transfer.layer_ids": of_model,
        "transfer.layer_scales": {
            **of_model,
            "layer_decay": ("(0, 1]", 0.75),
        },
        "transfer.train_last_blocks": {
            **of_model,
            "num_blocks": ("[0, 1]", 0.5, [0.3]),
        },
    }


def _half():
    return masking.RandomMasking(0.5)


# An iterable without a length.
NAN_ITERATOR = iter(())
