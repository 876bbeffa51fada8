"""How fast do photos become batches, against torchvision's pipeline?

    python benchmarks/input_pipeline.py
    python benchmarks/input_pipeline.py --folder=imagenet/train --images=2000

From a folder of JPEG files to normalised random resized crops of 224 pixels in
shuffled batches, as MAE pre-trains: bicubic, antialiased, flipped half of the
time. Each side is a process of its own; they take turns, an epoch each, with
the files in the page cache.

`keras_mim` and `keras_mim_tfds`: `ImagePipeline.from_folder`, and `from_tfds`
on the same files as TFRecords. `torchvision_N`: `RandomResizedCrop`,
`RandomHorizontalFlip`, `ToTensor` and `Normalize` on Pillow's images in a
`DataLoader` of N worker processes. `torchvision_v2_N`: the same with
`torchvision.io` and `transforms.v2` on tensors of bytes. `decode`: what is left
if nothing but whole files is decoded, in parallel.

Prints images per second, medians over the turns, and the ratios of `keras_mim`
over torchvision's best and over `decode`. Needs torch and torchvision.
"""

import os
import pathlib
import statistics
import tempfile

from absl import app
from absl import flags

from harness.results import describe
from harness.results import write
from harness.turns import median_ratio
from harness.turns import serve
from harness.turns import take_turns

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", "examples/data/photos", "Folder of JPEG files.")
flags.DEFINE_integer("images", 1120, "Images per epoch: files come repeatedly.")
flags.DEFINE_integer("image_size", 224, "Side of the crops, pixels.")
flags.DEFINE_integer("batch_size", 64, "Images per batch.")
flags.DEFINE_integer("turns", 9, "Turns of each side.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")
flags.DEFINE_string("worker", None, "Internal: run one side.")

CORES = os.cpu_count()
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDES = (
    "decode",
    "keras_mim",
    "keras_mim_tfds",
    *(f"torchvision_{n + 1}" for n in range(CORES)),
    *(f"torchvision_v2_{n + 1}" for n in range(CORES)),
)


def link_files(folder):
    """Fills `folder` with a class of as many files as an epoch has."""
    files = sorted(pathlib.Path(FLAGS.folder).rglob("*.jp*g"))
    if not files:
        raise app.UsageError(f"--folder: no JPEG files in {FLAGS.folder}")
    (folder / "train/photos").mkdir(parents=True)
    for i in range(FLAGS.images):
        link = folder / f"train/photos/{i:06}.jpg"
        link.symlink_to(files[i % len(files)].absolute())
    return files[: FLAGS.images]


def read_epochs(dataset):
    """Worker of anything that gives an epoch of batches when iterated."""

    def run_epochs(number):
        for _ in range(number):
            for _ in dataset:
                pass

    serve(run_epochs, 1)


def keras_mim(folder, records=False):
    from keras_mim.data import ImagePipeline

    side = FLAGS.image_size
    pipeline = ImagePipeline((side, side, 3), FLAGS.batch_size, seed=0)
    if not records:
        return read_epochs(pipeline.from_folder(folder / "train"))
    import tensorflow_datasets as tfds

    photos = tfds.ImageFolder(str(folder))
    skip = {"image": tfds.decode.SkipDecoding()}
    tfds.dataset_builders.store_as_tfds_dataset(
        "photos",
        "1.0.0",
        photos.info.features,
        {"train": photos.as_dataset("train", decoders=skip)},
        data_dir=folder / "records",
    )
    read_epochs(pipeline.from_tfds("photos", data_dir=folder / "records"))


def decode(folder):
    """Decodes whole files, two batches ahead, and does nothing with them."""
    import tensorflow as tf

    files = [str(file) for file in sorted(folder.rglob("*.jpg"))]
    images = tf.data.Dataset.from_tensor_slices(files).map(
        lambda file: tf.io.decode_jpeg(tf.io.read_file(file), channels=3),
        num_parallel_calls=CORES,
        deterministic=False,
    )
    options = tf.data.Options()
    options.autotune.enabled = False
    images = images.with_options(options)

    def run_epochs(number):
        for _ in range(number):
            # Inside TensorFlow: images of many sizes do not batch.
            images.reduce(0, lambda count, image: count + 1)

    serve(run_epochs, 1)


def torchvision(folder, num_workers, v2):
    import torch
    import torchvision.transforms as transforms
    from torchvision.datasets import ImageFolder
    from torchvision.datasets.folder import default_loader
    from torchvision.io import ImageReadMode
    from torchvision.io import decode_image

    load, to_float = default_loader, [transforms.ToTensor()]
    if v2:
        from torchvision.transforms import v2 as transforms

        to_float = [transforms.ToDtype(torch.float32, scale=True)]

        def load(path):
            return decode_image(path, ImageReadMode.RGB)

    steps = [
        transforms.RandomResizedCrop(
            FLAGS.image_size,
            scale=(0.2, 1.0),
            interpolation=transforms.InterpolationMode.BICUBIC,
            antialias=True,
        ),
        transforms.RandomHorizontalFlip(),
        *to_float,
        transforms.Normalize(MEAN, STD),
    ]
    dataset = ImageFolder(
        folder / "train", transforms.Compose(steps), loader=load
    )
    loader = torch.utils.data.DataLoader(
        dataset,
        FLAGS.batch_size,
        shuffle=True,
        num_workers=num_workers,
        persistent_workers=True,
    )
    read_epochs(loader)


def run_side(name, folder):
    if name == "decode":
        return decode(folder)
    if name.startswith("keras_mim"):
        return keras_mim(folder, records=name.endswith("tfds"))
    num_workers = int(name.rsplit("_", 1)[1])
    torchvision(folder, num_workers, v2="v2" in name)


def main(_):
    if FLAGS.worker:
        return run_side(FLAGS.worker, pathlib.Path(os.environ["PHOTOS"]))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PHOTOS"] = folder
        files = link_files(pathlib.Path(folder))
        seconds, rate = take_turns(SIDES, FLAGS.turns, 1)
    result = {
        "question": "photos to random resized crops",
        **describe(FLAGS, ("tensorflow-datasets", "torch", "torchvision")),
        "files": len(files),
        "mean_file_bytes": round(
            statistics.mean(file.stat().st_size for file in files)
        ),
        "matmul_gflop_per_second": rate,
    }
    for name in SIDES:
        per_second = FLAGS.images / statistics.median(seconds[name])
        result[name] = {
            "images_per_second": round(per_second, 1),
            "seconds": [round(s, 4) for s in seconds[name]],
        }
        print(f"{name}: {per_second:.0f} images/s")

    def ratio(name):
        return round(median_ratio(seconds[name], seconds["keras_mim"]), 3)

    # The fewest seconds of each kind of torchvision's.
    for kind in ("torchvision", "torchvision_v2"):
        names = [f"{kind}_{n + 1}" for n in range(CORES)]
        best = min(names, key=lambda n: statistics.median(seconds[n]))
        result[f"ratio_{kind}"] = ratio(best)
        print(f"keras_mim / {best}: {result[f'ratio_{kind}']:.2f}")
    result["ratio_decode"] = ratio("decode")
    print(f"keras_mim / decode: {result['ratio_decode']:.2f}")
    write(FLAGS.output, result)


if __name__ == "__main__":
    app.run(main)
