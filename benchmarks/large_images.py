"""How much memory and time do images take that are, or unpack to, large ones?

    KERAS_BACKEND=tensorflow python benchmarks/large_images.py

PNG and GIF files of a few hundred kilobytes say that they have 400 million
pixels; an animated GIF has 300 frames of 4 million; photos have 63 million, as
JPEG (upright, on its side, progressive) and PNG. Each is read by a process of
its own, as a pipeline reads it. Prints the time, and the most memory that the
process took beyond what it had after reading small files.
"""

import io
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from absl import app
from absl import flags
from PIL import Image

from harness.results import describe
from harness.results import write

FLAGS = flags.FLAGS
flags.DEFINE_string("output", None, "JSON file to write the result to.")

READER = """
import io, json, pathlib, sys, threading, time
import tensorflow as tf
from PIL import Image
from keras_mim.data import ImagePipeline
transform = ImagePipeline((224, 224, 3), 1, augment=False).transform
signature = [tf.TensorSpec((), "string")]
read = tf.function(
    lambda data: transform.from_file(data, None), input_signature=signature,
    autograph=False,
)
for kind in ("PNG", "JPEG", "GIF"):
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, kind)
    read(file.getvalue())
def memory():
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096 / 2**20
data = pathlib.Path(sys.argv[1]).read_bytes()
rest = highest = memory()
done = False
def watch():
    global highest
    while not done:
        highest = max(highest, memory())
        time.sleep(0.002)
thread = threading.Thread(target=watch)
thread.start()
start = time.perf_counter()
try:
    read(data)
    outcome = "read"
except tf.errors.InvalidArgumentError as error:
    outcome = "refused" if "max_pixels" in str(error) else str(error)
seconds = time.perf_counter() - start
done = True
thread.join()
print(json.dumps({
    "outcome": outcome, "seconds": seconds, "mebibytes": highest - rest,
}))
"""


def make_files():
    """Yields the name of each kind and the content of its file."""

    def encode(image, kind, **options):
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    vast = Image.new("L", (20000, 20000), 3)
    yield "PNG of 400 million pixels", encode(vast, "PNG")
    yield "GIF of 400 million pixels", encode(vast, "GIF")
    frames = [
        Image.fromarray(np.full((2000, 2000), i % 255, "uint8"))
        for i in range(300)
    ]
    yield (
        "GIF of 300 frames of 4 million",
        encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
    )
    rows, columns = np.mgrid[:7000, :9000]
    pixels = [rows % 256, columns % 256, (rows + columns) // 63 % 256]
    photo = Image.fromarray(np.stack(pixels, axis=-1).astype("uint8"))
    lying = Image.Exif()
    lying[0x0112] = 6
    yield "JPEG of 63 million", encode(photo, "JPEG", quality=90)
    yield "the same, on its side", encode(photo, "JPEG", exif=lying)
    yield "the same, progressive", encode(photo, "JPEG", progressive=True)
    yield "PNG of 63 million", encode(photo, "PNG", compress_level=1)


def main(_):
    results = {}
    path = pathlib.Path(tempfile.mkdtemp()) / "image"
    for name, data in make_files():
        path.write_bytes(data)
        run = subprocess.run(
            [sys.executable, "-c", READER, str(path)],
            check=True,
            capture_output=True,
            text=True,
        )
        found = json.loads(run.stdout.splitlines()[-1])
        results[name] = {"kilobytes": len(data) / 1e3, **found}
        print(
            f"{name}, {len(data) / 1e3:.0f} kB: {found['outcome']}, "
            f"{found['seconds']:.2f} s, {found['mebibytes']:.0f} MiB",
            flush=True,
        )
    described = describe(FLAGS, ["tensorflow", "pillow"])
    write(FLAGS.output, {**described, "results": results})


if __name__ == "__main__":
    app.run(main)
