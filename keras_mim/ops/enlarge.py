from keras import ops

from keras_mim._array_checks import IMAGES
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_counts


def enlarge(images, factor):
    """Returns images whose pixels are repeated `factor` times each way.

    Args:
        images: Tensor of shape `(batch_size, height, width, channels)`.
        factor: int.

    Returns:
        Tensor of shape `(batch_size, height * factor, width * factor,
        channels)`.
    """
    check_rank("images", images, IMAGES)
    check_counts(factor=factor)
    if factor == 1:
        return images
    _, height, width, channels = images.shape
    # Not `repeat`: on torch it fails on shapes, and Keras then runs whole
    # models to find theirs.
    x = ops.reshape(images, (-1, height, 1, width, 1, channels))
    x = ops.tile(x, (1, 1, factor, 1, factor, 1))
    return ops.reshape(x, (-1, height * factor, width * factor, channels))
