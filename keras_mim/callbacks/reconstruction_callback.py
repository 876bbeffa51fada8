import pathlib

import keras

from keras_mim.callbacks.reconstruction_grid import reconstruction_grid
from keras_mim.callbacks.reconstruction_grid import save_reconstruction_grid
from keras_mim.ops import require


class ReconstructionCallback(keras.callbacks.Callback):
    """Writes pictures of reconstructions while a model trains.

    The same images under the same masks every time, so that progress can be
    watched; training itself is not disturbed (its random streams stay as they
    are). Needs matplotlib: `pip install "keras-mim[viz]"`.

    Args:
        images: Array of shape `(num_images, height, width, channels)`, as the
            model takes them; 8 or so.
        output_dir: str or path. Folder for `epoch_0001.png` and so on.
        masked: Boolean array of shape `(num_images, num_patches)`, or `None`
            to draw masks once, from a copy of the model's masking.
        every_epochs: int. Write after every so many epochs. Defaults to `1`.
        mean: float or sequence of float. What was subtracted from pixels in
            [0, 1] to make `images`. Defaults to `0.0`.
        std: float or sequence of float. What they were divided by.
            Defaults to `1.0`.
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
        mean=0.0,
        std=1.0,
        log_dir=None,
    ):
        super().__init__()
        if every_epochs < 1:
            raise ValueError(
                "`every_epochs` must be at least 1. "
                f"Received: every_epochs={every_epochs}"
            )
        self.images = images
        self.output_dir = pathlib.Path(output_dir)
        self.masked = masked
        self.every_epochs = every_epochs
        self.mean = mean
        self.std = std
        self.log_dir = log_dir

    def on_train_begin(self, logs=None):
        self.output_dir.mkdir(parents=True, exist_ok=True)
        if self.masked is None:
            masking = self.model.masking
            copy = type(masking).from_config(masking.get_config())
            masked = copy(keras.ops.convert_to_tensor(self.images))
            self.masked = keras.ops.convert_to_numpy(masked)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every_epochs:
            return
        result = self.model.reconstruct(self.images, self.masked)
        path = self.output_dir / f"epoch_{epoch + 1:04d}.png"
        save_reconstruction_grid(result, path, self.mean, self.std)
        if self.log_dir is not None:
            self._write_summary(result, epoch)

    def _write_summary(self, result, epoch):
        tf = require("tensorflow", "tensorflow")
        require("tensorboard", "viz")
        grid = reconstruction_grid(result, self.mean, self.std)
        writer = tf.summary.create_file_writer(str(self.log_dir))
        with writer.as_default():
            tf.summary.image("reconstruction", grid[None], step=epoch + 1)
        writer.close()
