"""Patches of many images as rows, for what is fitted in steps."""

from collections.abc import Iterable

import keras
import numpy as np

from keras_mim import ops
from keras_mim._checks import check

# How many images of an array are cut into patches at once.
IMAGES_AT_ONCE = 16

# Patches in a batch, for each value of a patch: what scikit-learn's
# `IncrementalPCA` takes by itself. The basis that it keeps from batch to batch
# then adds a fifth to the cost.
PATCHES_PER_VALUE = 5


def large_patch_batches(images, patch_size, as_normalized=lambda x: x):
    """Yields the patches of images in batches of at least five per value.

    Fewer only if there are no more.

    Args:
        images: Array of shape `(num_images, height, width, channels)`, or an
            iterable of such batches; of a batch that is a tuple or list, the
            first element counts.
        patch_size: int. Side of a patch in pixels.
        as_normalized: callable. Takes a batch as a NumPy array, and returns
            floats. Defaults to the batch as it is.

    Yields:
        Float32 NumPy array of shape `(num_patches, patch_size ** 2 *
        channels)`, in the order of `patchify`.

    Raises:
        ValueError: If a batch has another shape, or values that are not
            finite.
    """
    waiting, count = [], 0
    for patches in _patches(images, patch_size, as_normalized):
        waiting.append(patches)
        count += len(patches)
        size = PATCHES_PER_VALUE * patches.shape[1]
        # What is left must fill a batch too: it may be the last.
        if count >= 2 * size:
            rows = np.concatenate(waiting)
            while len(rows) >= 2 * size:
                yield rows[:size]
                rows = rows[size:]
            waiting, count = [rows], len(rows)
    if waiting:
        yield np.concatenate(waiting)


def _patches(images, patch_size, as_normalized):
    """Yields the patches of images, NumPy `(num_patches, patch_dim)`."""
    channels = None
    for batch in _batches(images):
        if isinstance(batch, (tuple, list)):
            batch = batch[0]
        batch = keras.ops.convert_to_numpy(batch)
        if batch.ndim != 4 or channels not in (None, batch.shape[3]):
            raise ValueError(
                "`images` must be of shape (batch_size, height, width, "
                "channels), with as many channels in every batch. "
                f"Received: a batch of shape {batch.shape}"
            )
        channels = batch.shape[3]
        batch = as_normalized(batch).astype("float32")
        patches = keras.ops.convert_to_numpy(ops.patchify(batch, patch_size))
        if not np.isfinite(patches).all():
            raise ValueError(
                "`images` must be finite. Received: a batch with values that "
                "are NaN or infinite"
            )
        yield patches.reshape(-1, patches.shape[2])


def _batches(images):
    """Yields what comes in batches batch by batch, an array in slices."""
    if keras.ops.is_tensor(images) or isinstance(images, np.ndarray):
        for start in range(0, len(images), IMAGES_AT_ONCE):
            yield images[start : start + IMAGES_AT_ONCE]
    elif isinstance(images, keras.utils.PyDataset):
        # Iterating over one does not end.
        for i in range(len(images)):
            yield images[i]
    else:
        right = isinstance(images, Iterable) and not isinstance(images, str)
        check(right, "images", images, "an array, or an iterable of batches")
        yield from images
