"""MAE's table 1 and figure 5 in small: what its parts are worth.

    python benchmarks/mae_table1.py --data=cifar10.npz
    python benchmarks/mae_table1.py --data=cifar10.npz \\
        --rows=ratio,"as it is" --figure=ratios.png
    python benchmarks/mae_table1.py --image_size=64 --patch_size=8 --rows=d \\
        --tokenizer=tokenizer.keras --teacher=encoder.keras

Pre-trains a small ViT by MAE and changes one thing at a time: (a) the decoder's
blocks, (b) its width, (c) if the encoder sees mask tokens, (d) the target, (e)
the augmentation, (f) how masks are drawn, and the mask ratio.
harness/small_runs.py says how runs train and how they are judged. Prints a
table: the mean loss of the first and of the last tenth of the steps, and the
probe's accuracy in percent. --figure draws the accuracy by ratio.
"""

import json
import pathlib
import statistics

import keras
from absl import app
from absl import flags

import keras_mim
from harness import small_runs
from keras_mim import targets
from keras_mim.data import ColorJitter
from keras_mim.masking import BlockMasking
from keras_mim.masking import GridMasking
from keras_mim.masking import RandomMasking

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(small_runs)
FLAGS.set_default("output", "runs/mae_table1.jsonl")
flags.DEFINE_string("tokenizer", None, "For a row; as train_tokenizer.py's.")
flags.DEFINE_string("teacher", None, "For a row; as pretrain.py's encoder.")
flags.DEFINE_string("figure", None, "PNG of the probe by mask ratio.")

# What a row leaves open. The paper's decoder is 2/3 as wide as its encoder.
DEFAULTS = {
    "masking": lambda seed: RandomMasking(0.75, seed=seed),
    "decoder_dim": 64,
    "decoder_layers": 2,
    "mask_tokens": False,
    "target": lambda images: targets.PixelTarget(normalize=True),
    "pipeline": {},
    "jitter": 0.0,
}


def pca(images):
    size = FLAGS.patch_size
    return targets.PCATarget.fit(
        images.take(40),
        patch_size=size,
        num_components=3 * size**2 // 8,  # As 96 of 768.
    )


def tokens(images):
    return targets.TokenTarget(keras.saving.load_model(FLAGS.tokenizer))


def features(images):
    return targets.FeatureTarget(keras.saving.load_model(FLAGS.teacher))


def ratio(share):
    return {"masking": lambda seed: RandomMasking(share, seed=seed)}


ROWS = {
    "untrained": None,
    "as it is": {},
    **{f"a: {n} blocks": {"decoder_layers": n} for n in (1, 4, 8, 12)},
    **{f"b: {n} wide": {"decoder_dim": n} for n in (32, 128)},
    "c: encoder with mask tokens": {"mask_tokens": True},
    "d: raw pixels": {"target": lambda _: targets.PixelTarget()},
    "d: PCA": {"target": pca},
    "d: HOG": {
        "target": lambda _: targets.HOGTarget(cell_size=FLAGS.patch_size)
    },
    "d: tokens": {"target": tokens},
    "d: features": {"target": features},
    "d: moving average": {
        "target": lambda _: targets.EMATarget(0.998, num_layers=2)
    },
    "e: none": {
        "pipeline": {"crop": "center", "crop_ratio": 1.0, "flip": False}
    },
    "e: crop of fixed size": {"pipeline": {"crop": "fixed_size"}},
    "e: crop of random size, colours": {"jitter": 0.4},
    "f: blocks, 50 %": {"masking": lambda seed: BlockMasking(0.5, seed=seed)},
    "f: blocks, 75 %": {"masking": lambda seed: BlockMasking(0.75, seed=seed)},
    "f: grid, 75 %": {"masking": lambda seed: GridMasking(seed=seed)},
    **{
        f"ratio {share:.2f}": ratio(share)
        for share in (0.1, 0.25, 0.4, 0.5, 0.6, 0.85, 0.9)
    },
}


def run(row, seed):
    if row is None:
        return {"probe": small_runs.probe(small_runs.make_encoder())}
    row = {**DEFAULTS, **row}
    images = small_runs.batches(seed, **row["pipeline"])
    if row["jitter"]:
        images = images.map(ColorJitter(row["jitter"], seed=seed)).prefetch(2)
    method = keras_mim.SimMIM if row["mask_tokens"] else keras_mim.MAE
    model = method(
        small_runs.make_encoder(),
        row["masking"](seed),
        keras_mim.layers.MAEHead(row["decoder_dim"], row["decoder_layers"], 2),
        row["target"](images),
    )
    loss = model.target.default_loss or keras.losses.MeanSquaredError()
    first, last = small_runs.pre_train(model, images, loss, beta_2=0.95)
    probe = small_runs.probe(model.encoder)
    return {"first_loss": first, "last_loss": last, "probe": probe}


def draw(path):
    """Draws the probe by mask ratio, of the runs that are finished."""
    from matplotlib.figure import Figure

    lines = pathlib.Path(FLAGS.output).read_text().splitlines()
    by_ratio = {}
    for row in map(json.loads, lines):
        name = "ratio 0.75" if row["run"] == "as it is" else row["run"]
        if name.startswith("ratio"):
            share = float(name.split()[1])
            by_ratio.setdefault(share, []).append(row["probe"])
    shares = sorted(by_ratio)
    figure = Figure(figsize=(6, 4), dpi=120)
    axes = figure.subplots()
    axes.errorbar(
        [100 * share for share in shares],
        [statistics.mean(by_ratio[share]) for share in shares],
        [
            statistics.stdev(by_ratio[s]) if len(by_ratio[s]) > 1 else 0
            for s in shares
        ],
        marker="o",
        capsize=3,
    )
    axes.set_xlabel("hidden, %")
    axes.set_ylabel("linear probe, %")
    figure.savefig(path, bbox_inches="tight")


def main(_):
    given = {"d: tokens": FLAGS.tokenizer, "d: features": FLAGS.teacher}
    rows = {k: row for k, row in ROWS.items() if given.get(k, True)}
    columns = {"first_loss": ".3f", "last_loss": ".3f", "probe": ".1f"}
    small_runs.run_all(rows, run, columns)
    if FLAGS.figure:
        draw(FLAGS.figure)


if __name__ == "__main__":
    app.run(main)
