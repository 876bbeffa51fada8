"""Does a damaged image file hurt the process that reads it?

    KERAS_BACKEND=tensorflow python benchmarks/damaged_files.py

JPEG (two kinds), PNG (8 and 16 bits), BMP, GIF and WebP (still, animated with
and without alpha) are changed in a few bytes each, mostly in their headers, or
cut off. All are read by one pipeline, and then one by one by a SavedModel that
TensorFlow serves without keras_mim. Prints how many of each format
were read and refused, and the memory of the serving process on the way. A
process that dies is an error.
"""

import io
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from absl import app
from absl import flags
from PIL import Image

import keras_mim
from harness.results import describe
from harness.results import write

FLAGS = flags.FLAGS
flags.DEFINE_integer("files", 5000, "How many.")
flags.DEFINE_integer("seed", 0, "Of the damage.")
flags.DEFINE_string("output", None, "JSON file to write the result to.")

# Without keras_mim: what stands on a server.
SERVER = """
import pathlib, sys
import tensorflow as tf
answer = tf.saved_model.load(sys.argv[1]).signatures["encoded_images"]
files = sorted(pathlib.Path(sys.argv[2]).iterdir())
for number, path in enumerate(files):
    data = path.read_bytes()
    is_read = answer(images=tf.constant([data]))["valid"][0]
    print(path.suffix, "read" if is_read else "refused")
    if number % 250 == 249:
        status = pathlib.Path("/proc/self/status").read_text()
        kilobytes = int(status.split("VmRSS:")[1].split()[0])
        print("MiB", kilobytes // 1024, flush=True)
assert "keras_mim" not in sys.modules
"""


def make_originals():
    """Returns the content of a small file of each kind, by suffix."""
    rows, columns = np.mgrid[:61, :83]
    pixels = np.stack([4 * rows, 3 * columns, rows + columns], axis=-1)
    image = Image.fromarray(pixels.astype("uint8"))
    deep = Image.fromarray((pixels[..., 0] * 200).astype("uint16"))
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray((columns * 3).astype("uint8")))
    exif = Image.Exif()
    exif[0x0112] = 6
    moving = {"save_all": True, "append_images": [image.rotate(9)] * 2}
    return {
        ".jfif": encode(image, "JPEG"),
        ".jpg": encode(image, "JPEG", exif=exif, progressive=True),
        ".png": encode(image.quantize(20), "PNG", exif=exif),
        ".16.png": encode(deep, "PNG"),
        ".bmp": encode(image.quantize(20), "BMP"),
        ".gif": encode(image.quantize(20), "GIF", **moving),
        ".webp": encode(image, "WEBP", exif=exif),
        ".moving.webp": encode(image, "WEBP", **moving),
        ".clear.webp": encode(clear, "WEBP", **moving),
    }


def encode(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def damage(content, generator):
    """Changes a few bytes of a file, or cuts it off."""
    content = bytearray(content)
    kind = generator.integers(0, 4)
    if kind == 0:
        return bytes(content[: generator.integers(0, len(content))])
    end = len(content) if kind == 1 else 100
    for place in generator.integers(0, end, 1 + generator.integers(0, 5)):
        content[place] = generator.choice((0, 1, 127, 128, 255, 37))
    return bytes(content)


def main(_):
    generator = np.random.default_rng(FLAGS.seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "files").mkdir()
        originals = list(make_originals().items())
        for number in range(FLAGS.files):
            suffix, content = originals[number % len(originals)]
            path = folder / "files" / f"{number:06d}{suffix}"
            path.write_bytes(damage(content, generator))

        pipeline = keras_mim.data.ImagePipeline((32, 32, 3), 50, augment=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = sum(map(len, pipeline.from_folder(folder / "files")))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

        encoder = keras_mim.encoders.ViT((32, 32, 3), 16, 8, 1, 2, 16)
        keras_mim.serving.export_encoder(encoder, folder / "encoder")
        server = subprocess.run(
            [
                sys.executable,
                "-c",
                SERVER,
                str(folder / "encoder"),
                str(folder / "files"),
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    result = {"pipeline": {"read": read, "peak_mib": peak}, "server": {}}
    memory = []
    for line in server.stdout.splitlines():
        name, word = line.split()
        if name == "MiB":
            memory.append(int(word))
            continue
        counts = result["server"].setdefault(name, {"read": 0, "refused": 0})
        counts[word] += 1
    result["server_mib"] = memory
    print(json.dumps(result, indent=2))
    served = sum(counts["read"] for counts in result["server"].values())
    print(
        f"{FLAGS.files} files: the pipeline read {read}, the server {served}; "
        f"its memory went from {memory[0]} to {memory[-1]} MiB."
    )
    described = describe(FLAGS, ["tensorflow", "pillow"])
    write(FLAGS.output, {**described, **result})


if __name__ == "__main__":
    app.run(main)
