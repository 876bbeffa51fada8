"""How fast is a pre-trained encoder, against transformers and timm?

    python benchmarks/inference.py --batch_size=1 --turns=100
    python benchmarks/inference.py --batch_size=32 --turns=5

ViT-B/16 at 224 pixels, float32, images to tokens. Sides, each a process of its
own, that take turns, a call each:

- `keras`: the Keras model's `predict_on_batch`, on KERAS_BACKEND.
- `saved_model`: `export_encoder`'s `serving_default`, in TensorFlow alone.
- `onnx`: `export_onnx`'s, in ONNX Runtime.
- `transformers`: `ViTModel`, scaled dot product attention, inference mode.
- `timm`: `vit_base_patch16_224`, likewise.

What is exported also normalises the pixels. Prints images per second at the
median, the median and the 99th percentile of a call, and the ratios of ours
over either peer. FLOPs are those of the matrix products. Needs torch,
transformers, timm, and for `onnx` `pip install "keras-mim[onnx]"`.
"""

import os
import pathlib
import statistics
import tempfile

import numpy as np
from absl import app
from absl import flags

from harness import flops
from harness.results import describe
from harness.results import write
from harness.turns import median_ratio
from harness.turns import serve
from harness.turns import take_turns

FLAGS = flags.FLAGS
SIDES = ("keras", "saved_model", "onnx", "transformers", "timm")
flags.DEFINE_integer("batch_size", 32, "Images per call.")
flags.DEFINE_integer("turns", 5, "Calls of each side.")
flags.DEFINE_list("sides", list(SIDES), "Which to compare.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_string("worker", None, "Internal: run one side.")


def images(channels_first=False):
    shape = (3, 224, 224) if channels_first else (224, 224, 3)
    return np.random.rand(FLAGS.batch_size, *shape).astype("float32")


def encoder():
    import keras_mim

    return keras_mim.encoders.ViT.from_size("base", (224, 224, 3), 16)


def export(folder):
    """Writes what two of the sides load."""
    from keras_mim import serving

    model = encoder()
    if "saved_model" in FLAGS.sides:
        serving.export_encoder(model, folder / "saved_model")
    if "onnx" in FLAGS.sides:
        serving.export_onnx(model, folder / "encoder.onnx")


def keras(folder):
    model, x = encoder(), images()
    return lambda: model.predict_on_batch(x)


def saved_model(folder):
    import tensorflow as tf

    loaded = tf.saved_model.load(folder / "saved_model")
    x = tf.constant(images())
    answer = loaded.signatures["serving_default"]
    return lambda: answer(images=x)["tokens"].numpy()


def onnx(folder):
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "encoder.onnx")
    x = {"images": images()}
    return lambda: session.run(["tokens"], x)


def transformers(folder):
    import torch
    from transformers import ViTConfig
    from transformers import ViTModel

    config = ViTConfig(attn_implementation="sdpa")
    model = ViTModel(config, add_pooling_layer=False).eval()
    x = torch.from_numpy(images(channels_first=True))
    return torch.inference_mode()(lambda: model(x).last_hidden_state)


def timm(folder):
    import timm
    import torch

    model = timm.create_model("vit_base_patch16_224").eval()
    x = torch.from_numpy(images(channels_first=True))
    return torch.inference_mode()(lambda: model.forward_features(x))


def run_side(name, folder):
    sides = (keras, saved_model, onnx, transformers, timm)
    call = dict(zip(SIDES, sides))[name](folder)

    def run_steps(number):
        for _ in range(number):
            call()

    serve(run_steps, 1)


def main(_):
    if FLAGS.worker:
        return run_side(FLAGS.worker, pathlib.Path(os.environ["EXPORTED"]))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EXPORTED"] = folder
        export(pathlib.Path(folder))
        seconds, rate = take_turns(FLAGS.sides, FLAGS.turns, 1)
    flop = 2 * 196 * 768**2 + 12 * flops.block(197, 768, 197)
    packages = ("tensorflow", "onnxruntime", "torch", "transformers", "timm")
    result = {
        "question": "inference of a ViT-B/16 encoder",
        **describe(FLAGS, packages),
        "gflop_per_image": round(flop / 1e9, 1),
        "matmul_gflop_per_second": rate,
    }
    for name in FLAGS.sides:
        median = statistics.median(seconds[name])
        result[name] = {
            "images_per_second": round(FLAGS.batch_size / median, 2),
            "gflop_per_second": round(
                flop * FLAGS.batch_size / median / 1e9, 1
            ),
            "p50_ms": round(1e3 * median, 1),
            "p99_ms": round(1e3 * float(np.quantile(seconds[name], 0.99)), 1),
            "seconds": [round(s, 4) for s in seconds[name]],
        }
        print(name, {k: v for k, v in result[name].items() if k != "seconds"})
    print(f"matrix product: {rate} GFLOP/s")
    for peer in [side for side in SIDES[3:] if side in FLAGS.sides]:
        result[f"ratio_{peer}"] = {
            name: round(median_ratio(seconds[peer], seconds[name]), 3)
            for name in FLAGS.sides
            if name != peer
        }
        print(f"ratio over {peer}: {result[f'ratio_{peer}']}")
    write(FLAGS.output, result)


if __name__ == "__main__":
    app.run(main)
