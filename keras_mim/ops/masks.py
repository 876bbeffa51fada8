"""Boolean patch masks: drawing them and turning them into indices.

A mask `masked` is boolean of shape `(batch_size, num_patches)`, `True` where
a patch is hidden. How many are hidden is a Python integer kept beside it: the
values of a tensor cannot fix a shape under XLA.
"""

from keras import ops

from keras_mim._array_checks import check_masked
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts


def mask_from_noise(noise, num_masked):
    """Hides the patches with the largest noise, the same count per image.

    MAE's rule: sort uniform noise, keep the smallest.

    Args:
        noise: Float tensor of shape `(batch_size, num_patches)`.
        num_masked: int. Number of patches to hide in every image.

    Returns:
        Boolean tensor of shape `(batch_size, num_patches)`.
    """
    check_rank("noise", noise, "(batch_size, num_patches)")
    check_counts(least=0, num_masked=num_masked)
    # The rank of every patch. The inner argsort may order equal noise as it
    # likes: its result is a permutation, so the ranks are unique and the
    # count is exact whether or not a backend's sort is stable.
    rank = ops.argsort(ops.argsort(noise, axis=-1), axis=-1)
    return rank >= noise.shape[-1] - num_masked


def visible_indices(masked, num_visible):
    """Returns the indices of the visible patches in image order.

    Args:
        masked: Boolean tensor of shape `(batch_size, num_patches)`.
        num_visible: int. Number of visible patches in every image.

    Returns:
        Int32 tensor of shape `(batch_size, num_visible)`, ascending.
    """
    check_masked(masked)
    check_counts(num_visible=num_visible)
    return _visible_first(masked)[:, :num_visible]


def restore_indices(masked):
    """Returns where each patch lies once visible ones are moved to the front.

    Gathering `concatenate([visible, hidden])` at these indices puts every
    patch back in its place, as MAE's `ids_restore` does.

    Args:
        masked: Boolean tensor of shape `(batch_size, num_patches)`.

    Returns:
        Int32 tensor of shape `(batch_size, num_patches)`.
    """
    check_masked(masked)
    masked = ops.cast(masked, "int32")
    visible = 1 - masked
    num_visible = ops.sum(visible, axis=1, keepdims=True)
    hidden_place = num_visible + ops.cumsum(masked, axis=1) - 1
    return ops.where(masked == 1, hidden_place, ops.cumsum(visible, axis=1) - 1)


def _visible_first(masked):
    # Unique keys, since TensorFlow's argsort is not stable.
    num_patches = masked.shape[1]
    keys = ops.cast(masked, "int32") * num_patches
    keys = keys + ops.arange(num_patches, dtype="int32")
    return ops.cast(ops.argsort(keys, axis=-1), "int32")
