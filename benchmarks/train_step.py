"""How fast is one training step, against transformers' on torch?

    KERAS_BACKEND=tensorflow python benchmarks/train_step.py
    KERAS_BACKEND=jax python benchmarks/train_step.py --model=simmim_swin_base

`mae_vit_base`: MAE's ViT-B/16, 224 pixels, 75 % masked, normalised pixels.
`simmim_swin_base`: SimMIM's Swin-B, 192 pixels, window 6, 60 % of 32-pixel
cells. AdamW: the whole step, forward, backward and update, on random images.
Ours and the peer run in two processes that take turns; medians over the turns.
Needs torch and transformers beside the backend.

Prints images and GFLOP per second of both, the rate of a large float32 matrix
product in NumPy between the turns (what the machine can do at best), and last
the ratio. FLOPs are those of the matrix products, counted from the shapes: the
same for both.
"""

import contextlib
import statistics

import flops
import numpy as np
from absl import app
from absl import flags
from turns import describe
from turns import serve
from turns import serve_fit
from turns import take_turns
from turns import write

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "model", "mae_vit_base", ["mae_vit_base", "simmim_swin_base"], "What."
)
flags.DEFINE_integer("batch_size", 16, "Images per step.")
flags.DEFINE_integer("turns", 12, "Turns of each side.")
flags.DEFINE_integer("steps", 2, "Steps per turn.")
flags.DEFINE_enum("precision", "float32", ["float32", "bfloat16"], "Of both.")
flags.DEFINE_boolean("jit_compile", None, "XLA for ours; None: Keras's choice.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_enum("worker", None, ["ours", "peer"], "Internal: run one side.")

IMAGE_SIZE = {"mae_vit_base": 224, "simmim_swin_base": 192}


def mae_flops():
    return flops.mae(196, 768, (768, 12), (512, 8), seen=196 // 4 + 1)


def simmim_flops():
    tokens, dim, total = 48**2, 128, 2 * 48**2 * 48 * 128
    for stage, depth in enumerate((2, 2, 18, 2)):
        if stage:  # Four tokens of `dim` become one of twice the width.
            tokens, dim = tokens // 4, 2 * dim
            total += 2 * tokens * 2 * dim * dim
        total += depth * flops.block(tokens, dim, 36)
    return total + 2 * tokens * dim * 3 * 32**2


def count_flops():
    """FLOPs of a step's matrix products; backward is twice forward."""
    forward = {"mae_vit_base": mae_flops, "simmim_swin_base": simmim_flops}
    return 3 * forward[FLAGS.model]() * FLAGS.batch_size


def ours():
    import keras

    import keras_mim

    if FLAGS.precision != "float32":
        keras.config.set_dtype_policy(f"mixed_{FLAGS.precision}")
    side = IMAGE_SIZE[FLAGS.model]
    shape = (side, side, 3)
    if FLAGS.model == "mae_vit_base":
        encoder = keras_mim.encoders.ViT.from_size("base", shape, 16)
        model = keras_mim.MAE(encoder)
    else:
        encoder = keras_mim.encoders.Swin.from_size(
            "base", shape, window_size=6
        )
        model = keras_mim.SimMIM(encoder)
    jit_compile = "auto" if FLAGS.jit_compile is None else FLAGS.jit_compile
    optimizer = keras.optimizers.AdamW(1e-4, weight_decay=0.05, beta_2=0.95)
    model.compile(optimizer, jit_compile=jit_compile)
    images = np.random.rand(FLAGS.batch_size, *shape).astype("float32")
    serve_fit(model, images, FLAGS.turns, FLAGS.steps)


def make_peer():
    """Returns transformers' model and what it takes besides images."""
    import torch
    import transformers

    if FLAGS.model == "mae_vit_base":
        config = transformers.ViTMAEConfig(norm_pix_loss=True)
        return transformers.ViTMAEForPreTraining(config), lambda: {}
    config = transformers.SwinConfig(
        image_size=192,
        embed_dim=128,
        depths=[2, 2, 18, 2],
        num_heads=[4, 8, 16, 32],
        window_size=6,
        drop_path_rate=0.0,
    )

    def masks():
        # 22 of 36 cells, as `ceil` has it, each of 8 x 8 patches.
        cells = torch.rand(FLAGS.batch_size, 36).argsort(1) < 22
        cells = cells.reshape(-1, 6, 1, 6, 1).expand(-1, 6, 8, 6, 8)
        return {"bool_masked_pos": cells.reshape(FLAGS.batch_size, -1)}

    return transformers.SwinForMaskedImageModeling(config), masks


def peer():
    import torch

    model, masks = make_peer()
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), 1e-4, (0.9, 0.95), weight_decay=0.05
    )
    side = IMAGE_SIZE[FLAGS.model]
    images = torch.rand(FLAGS.batch_size, 3, side, side)

    def run_steps(number):
        for _ in range(number):
            cast = contextlib.nullcontext()
            if FLAGS.precision != "float32":
                cast = torch.autocast("cpu", torch.bfloat16)
            with cast:
                loss = model(pixel_values=images, **masks()).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    serve(run_steps, FLAGS.steps)


def main(_):
    if FLAGS.worker:
        return {"ours": ours, "peer": peer}[FLAGS.worker]()
    seconds, rate = take_turns(("ours", "peer"), FLAGS.turns, FLAGS.steps)
    flop = count_flops()
    result = {
        "question": f"one training step of {FLAGS.model}",
        **describe(FLAGS, ("torch", "transformers")),
        "gflop_per_step": round(flop / 1e9),
        "matmul_gflop_per_second": rate,
    }
    for name, label in (
        ("ours", f"keras_mim, {result['backend']}"),
        ("peer", "transformers, torch"),
    ):
        step = statistics.median(seconds[name])
        result[name] = {
            "images_per_second": round(FLAGS.batch_size / step, 2),
            "gflop_per_second": round(flop / step / 1e9, 1),
            "seconds": [round(s, 4) for s in seconds[name]],
        }
        print(
            f"{label}: {result[name]['images_per_second']} images/s, "
            f"{result[name]['gflop_per_second']} GFLOP/s"
        )
    print(f"matrix product: {rate} GFLOP/s")
    ratios = [p / o for o, p in zip(seconds["ours"], seconds["peer"])]
    result["ratio"] = round(statistics.median(ratios), 3)
    if FLAGS.output:
        write(FLAGS.output, result)
    print(
        f"ratio (ours / peer, median of {FLAGS.turns} pairs): "
        f"{result['ratio']:.2f}"
    )


if __name__ == "__main__":
    app.run(main)
