import os

import numpy as np

from keras_mim._checks import check_choice
from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim.data._checks import check_arrays
from keras_mim.data._classes import check_source
from keras_mim.data._classes import label_translation
from keras_mim.data._crop import Crop
from keras_mim.data._epoch_order import EpochOrder
from keras_mim.data._epochs import batches
from keras_mim.data._epochs import file_epochs
from keras_mim.data._epochs import record_epochs
from keras_mim.data._folders import find_images
from keras_mim.data._image_sizes import MAX_PIXELS
from keras_mim.data._image_transform import ImageTransform
from keras_mim.data._start_tensorflow import start_tensorflow
from keras_mim.data._tfds_records import TFDS_SHUFFLE_BUFFER
from keras_mim.data._tfds_records import open_records
from keras_mim.data._value_range import find_value_range
from keras_mim.data.packs import read_split


class ImagePipeline:
    """Turns image files, packs, arrays or TFDS into batches for training.

    With `augment=True` the images of an epoch come in a new random order,
    each as a random resized crop, flipped half of the time: all the
    augmentation that MAE pre-trains with. With `augment=False` they come in
    order, each as one central crop: what an encoder is judged on. The crop is
    resized (antialiased), clipped to [0, 255], scaled to [0, 1] and
    normalized per channel. Needs `pip install "keras-mim[data]"`.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), A.1;
    torchvision's `RandomResizedCrop`, whose rule is followed. The central
    crop comes before the resizing, not after.

    Args:
        image_shape: tuple of ints `(height, width, channels)`, in pixels.
            Encoded images need 1 (grey) or 3 (RGB) channels.
        batch_size: int. Images a batch.
        augment: bool. Whether to shuffle, crop at random and flip. Defaults
            to `True`.
        scale: pair of floats. Range of the crop's share of the image's
            area. Defaults to `(0.2, 1.0)`, MAE's; SimMIM's is (0.67, 1).
        ratio: pair of floats. Range of the crop's width / height. Defaults to
            `(3 / 4, 4 / 3)`.
        flip: bool. Whether `augment` flips too. Defaults to `True`.
        crop_ratio: float in (0, 1]. The share of the short side that a crop
            of fixed size keeps. Defaults to `0.875`, MAE's 224 of 256.
        normalization: `keras_mim.Normalization`. The statistics to normalize
            with: `encoder.normalization`, where there is an encoder. Defaults
            to `None`: the default for the number of channels.
        shuffle: int. How many images to draw the next one from. Defaults to
            `None`: all, or 4096 for TFDS.
        seed: int or `None`. The same one gives the same epochs, each another.
        first_epoch: int. Which of these comes first, from 0: how many a
            resumed run has behind it. Defaults to `0`.
        on_error: str. What to do with unreadable files in folders and packs,
            such as truncated ones: `"skip"` them, with one warning an epoch
            that names them, or `"raise"` an error that names the first. With
            `augment`, or in a shard, others are read twice in their place, so
            that the number of batches is known; else it is not.
        drop_remainder: bool. Whether to leave out a last, partial batch.
        interpolation: `"bicubic"`, MAE's, or `"bilinear"`, SimMIM's.
        shard: pair of ints `(index, count)`. Which of `count` equal shares of
            an epoch to give: one for each host, all with one seed.
        crop: str. How `augment` crops: `"random_size"`; `"fixed_size"`, at
            a random place; `"center"`, which `augment=False` has always.
        dtype: `"float32"` or `"uint8"`: pixels rounded, not normalized, a
            quarter of the bytes. The model normalizes them, by its encoder's.
        max_pixels: int. What a file's header may say at most; a larger image
            is unreadable. Defaults to `89478485`, Pillow's.

    Output: batches of shape `(batch_size, height, width, channels)`; with
        labels pairs of them and int32 labels of shape `(batch_size,)`.

    Labels of folders, packs and TFDS are positions in `dataset.class_names`.
    Pass the training split's wherever else images are read from.

    Example:

    >>> pipeline = ImagePipeline((224, 224, 3), batch_size=256)
    >>> mae.fit(pipeline.from_folder("photos"), epochs=800)
    >>> train = pipeline.from_folder("flowers/train", labels=True)
    >>> pipeline = ImagePipeline((224, 224, 3), batch_size=256, augment=False)
    >>> validation = pipeline.from_folder(
    ...     "flowers/val", labels=True, class_names=train.class_names
    ... )
    """

    def __init__(
        self,
        image_shape,
        batch_size,
        augment=True,
        scale=(0.2, 1.0),
        ratio=(3 / 4, 4 / 3),
        flip=True,
        crop_ratio=0.875,
        normalization=None,
        shuffle=None,
        seed=None,
        on_error="skip",
        drop_remainder=False,
        interpolation="bicubic",
        crop="random_size",
        first_epoch=0,
        shard=(0, 1),
        dtype="float32",
        max_pixels=MAX_PIXELS,
    ):
        check_counts(batch_size=batch_size, max_pixels=max_pixels)
        check_flags(augment=augment, flip=flip, drop_remainder=drop_remainder)
        check_choice("on_error", on_error, ("skip", "raise"))
        crop = Crop(crop, scale, ratio, crop_ratio)
        if not augment:
            crop = crop.centered()
        self.transform = ImageTransform(
            image_shape,
            crop,
            augment and flip,
            interpolation,
            normalization,
            dtype,
            max_pixels,
        )
        self.order = EpochOrder(augment, shuffle, seed, first_epoch, shard)
        self.image_shape = self.transform.image_shape
        self.batch_size = batch_size
        self.augment = augment
        self.on_error = on_error
        self.drop_remainder = drop_remainder

    def from_folder(self, path, labels=False, class_names=None):
        """Reads the image files of a folder and of the folders below it.

        Links are followed, and each file is read once, whatever links lead to
        it. One warning names what is left out: images of other formats, such
        as TIFF, and what cannot be listed.

        Args:
            path: str or path. The folder. Files are taken if they end in .jpg,
                .jpeg, .jpe, .jfif, .png, .webp, .bmp or .gif, in either case.
            labels: bool. Whether to give labels too: the position in
                `class_names` of the folder directly below `path` that a file
                lies in. Defaults to `False`.
            class_names: sequence of str. The classes in their order. Defaults
                to `None`: the sorted names of the folders directly below
                `path`.

        Returns:
            `tf.data.Dataset` of batches; with labels it has `class_names`.

        Raises:
            ValueError: If there is no such folder or no image in it, or if
                labels are asked for and an image lies outside the class
                folders, in two of them, or in one that `class_names` lacks.
        """
        class_names = check_source(self.image_shape, labels, class_names)
        tf = start_tensorflow()
        files, numbers, class_names = find_images(path, labels, class_names)
        # As bytes, which need not be UTF-8.
        paths = tf.constant([os.fsencode(file) for file in files])

        def read(number):
            return tf.io.read_file(paths[number])

        return self._from_files(read, files, numbers, class_names)

    def from_pack(self, path, split="train", labels=False, class_names=None):
        """Reads one split of an `.npz` pack of JPEG files; see `read_pack`.

        Args:
            path: str or path. The file.
            split: str. Defaults to `"train"`.
            labels: bool. Whether to give labels too. Defaults to `False`.
            class_names: sequence of str. As in `from_folder`. Defaults to
                `None`: the pack's own.

        Returns:
            `tf.data.Dataset` of batches, as `from_folder`'s.

        Raises:
            ValueError: If there is no such file or split, or if labels are
                asked for and are wrong, or `class_names` lacks one.
        """
        class_names = check_source(self.image_shape, labels, class_names)
        tf = start_tensorflow()
        files, *classes = read_split(path, split, labels, class_names)
        names = [f"{path}, {split} image {i}" for i in range(len(files))]
        contents = tf.constant(files)
        return self._from_files(contents.__getitem__, names, *classes)

    def from_tfds(
        self,
        name,
        split="train",
        labels=False,
        data_dir=None,
        class_names=None,
    ):
        """Reads a TensorFlow Dataset, which is prepared if it is not yet.

        Args:
            name: str. Name of the dataset, with its configuration and
                version if wanted. Its images are under `"image"`.
            split: str. Such as `"train"` or `"train[:10%]"`.
            labels: bool. Whether to give `"label"` too. Defaults to `False`.
            data_dir: str. Where datasets are kept. Defaults to `None`:
                TFDS's own folder.
            class_names: sequence of str. As in `from_folder`, with all of the
                dataset's. Defaults to `None`: the dataset's own.

        Returns:
            `tf.data.Dataset` of batches, as `from_folder`'s. It fails when it
            comes to an image without a label, which TFDS marks by -1.

        Raises:
            ValueError: If the dataset is unknown, or has no such features, or
                if `class_names` lacks one of its classes.
        """
        class_names = check_source(self.image_shape, labels, class_names)
        start_tensorflow()
        records, length, own_names = open_records(
            name, split, labels, data_dir, self.augment, self.order.shard
        )
        if labels:
            class_names = class_names or own_names
            translate = label_translation(own_names, class_names, name)

        def load(record, seed):
            image = self.transform.from_file(record["image"], seed)
            return (image, translate(record["label"])) if labels else image

        order = self.order.within_share()  # What is read is shared out already.
        epochs = record_epochs(
            records, length, load, order, TFDS_SHUFFLE_BUFFER
        )
        return self._batch(epochs, class_names)

    def from_arrays(self, images, labels=None, value_range=None):
        """Reads arrays that are in memory.

        Args:
            images: array of shape `(num_images, height, width, channels)`, of
                integers or floats. Any number of channels.
            labels: integer array of shape `(num_images,)`, from 0 on.
                Defaults to `None`: images alone are given.
            value_range: pair of numbers `(black, white)`, which become 0 and
                1, what `normalization` is for; what lies beyond becomes one
                of them. Defaults to `None`: (0, 255) for uint8 and floats,
                (0, 65535) for uint16.

        Returns:
            `tf.data.Dataset` of batches.

        Raises:
            ValueError: If a shape, a dtype or a label is not one of these, if
                a value is NaN or infinite, or if they do not fit the range.
        """
        images = np.asarray(images)
        labels = labels if labels is None else np.asarray(labels)
        check_arrays(images, labels, self.image_shape[2])
        value_range = find_value_range(images, value_range)
        tf = start_tensorflow()
        with tf.device("CPU"):
            pixels = tf.constant(images)
            numbers = None if labels is None else tf.constant(labels, "int32")

        def load(index, seed):
            image = self.transform.from_pixels(pixels[index], seed, value_range)
            return image if labels is None else (image, numbers[index])

        indices = tf.data.Dataset.range(len(images))
        epochs = record_epochs(lambda _: indices, len(images), load, self.order)
        return self._batch(epochs)

    def _from_files(self, read, names, labels, class_names):
        """Batches the files whose content `read(number)` gives."""
        tf = start_tensorflow()
        blank = tf.zeros(self.image_shape, self.transform.dtype)
        if labels is not None:
            labels = tf.constant(labels)
            blank = blank, tf.zeros((), labels.dtype)

        def load(number, seed):
            image = self.transform.from_file(read(number), seed)
            return image if labels is None else (image, labels[number])

        epochs = file_epochs(names, load, blank, self.order, self.on_error)
        return self._batch(epochs, class_names)

    def _batch(self, images, class_names=None):
        return batches(
            images, self.batch_size, self.drop_remainder, class_names
        )
