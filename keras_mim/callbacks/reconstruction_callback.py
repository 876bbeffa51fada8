import pathlib

import keras

from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_masked
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts
from keras_mim._checks import check_path
from keras_mim._requirements import require
from keras_mim.callbacks.reconstruction_grid import reconstruction_grid
from keras_mim.callbacks.reconstruction_grid import save_reconstruction_grid


class ReconstructionCallback(keras.callbacks.Callback):
    """Writes pictures of reconstructions while a model trains.

    The same images under the same masks every time, so that progress can be
    watched; training itself is not disturbed (its random streams stay as they
    are). Needs matplotlib: `pip install "keras-mim[viz]"`.

    The pictures undo the normalization of the model's encoder.

    Args:
        images: Array of shape `(num_images, height, width, channels)`, as the
            model takes them (normalized, or bytes); 8 or so.
        output_dir: str or path. Folder for `epoch_0001.png` and so on.
        masked: Boolean array of shape `(num_images, num_patches)`, or `None`
            for those of the model's evaluations, drawn once.
        every_epochs: int. Write after every so many epochs. Defaults to `1`.
        log_dir: str, path or `None`. TensorBoard folder to write to as well;
            needs tensorflow.

    Example:

    >>> watch = keras_mim.callbacks.ReconstructionCallback(images[:8], "out")
    >>> mae.fit(images, epochs=10, callbacks=[watch])
    """

    def __init__(
        self,
        images,
        output_dir,
        masked=None,
        every_epochs=1,
        log_dir=None,
    ):
        super().__init__()
        check_counts(every_epochs=every_epochs)
        check_rank("images", images, IMAGES)
        check_path(output_dir=output_dir)
        check_path(or_none=True, log_dir=log_dir)
        if masked is not None and len(getattr(masked, "shape", ())) != 1:
            check_masked(masked)
        self.images = images
        self.output_dir = pathlib.Path(output_dir)
        self.masked = masked
        self.every_epochs = every_epochs
        self.log_dir = log_dir

    def on_train_begin(self, logs=None):
        self.model.check_inputs(keras.ops.convert_to_numpy(self.images))
        self.output_dir.mkdir(parents=True, exist_ok=True)
        if self.masked is None:
            self.masked = self.model.draw_masks(self.images)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every_epochs:
            return
        result = self.model.reconstruct(self.images, self.masked)
        path = self.output_dir / f"epoch_{epoch + 1:04d}.png"
        normalization = self.model.encoder.normalization
        save_reconstruction_grid(result, path, normalization)
        if self.log_dir is not None:
            self._write_summary(result, epoch)

    def _write_summary(self, result, epoch):
        tf = require("tensorflow", "tensorflow")
        require("tensorboard", "viz")
        normalization = self.model.encoder.normalization
        grid = reconstruction_grid(result, normalization)
        writer = tf.summary.create_file_writer(str(self.log_dir))
        with writer.as_default():
            tf.summary.image("reconstruction", grid[None], step=epoch + 1)
        writer.close()
