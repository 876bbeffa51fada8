from keras import ops

from keras_mim._array_checks import check_rank


def average_distance(hidden):
    """Returns SimMIM's AvgDist: how far hidden pixels are from visible ones.

    The mean Euclidean distance of an image's hidden pixels to the nearest
    visible pixel, exact. SimMIM finds masks best that make it 10 to 20.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), section
    4.1.2, "masking strategy".

    Args:
        hidden: Boolean tensor of shape `(batch_size, height, width)`, `True` =
            hidden; from a patch mask by `keras_mim.ops.mask_to_pixels`.

    Returns:
        Float32 tensor of shape `(batch_size,)`, in pixels; NaN for an image
        with nothing hidden or nothing visible.
    """
    check_rank("hidden", hidden, "(batch_size, height, width)")
    hidden = ops.convert_to_tensor(hidden, dtype="bool")
    _, height, width = hidden.shape
    rows = ops.arange(height, dtype="float32")
    columns = ops.arange(width, dtype="float32")
    row_distance = ops.abs(rows[:, None] - rows[None, :])
    column_square = ops.square(columns[:, None] - columns[None, :])

    def of_one(hidden):
        # To the nearest visible pixel of the same column, then over columns.
        # Squares of whole pixels are exact in float32. A column without any
        # counts as further away than anything in the image.
        far = float(height + width)
        distance = ops.where(hidden[None], far, row_distance[:, :, None])
        square = ops.square(ops.min(distance, axis=1))
        square = ops.min(square[:, None, :] + column_square[None], axis=2)
        weight = ops.cast(hidden, "float32")
        count = ops.sum(weight)
        mean = ops.sum(ops.sqrt(square) * weight) / ops.maximum(count, 1.0)
        some = (count > 0) & (count < height * width)
        return ops.where(some, mean, float("nan"))

    # One by one: the intermediate results are height * width * side each.
    return ops.map(of_one, hidden)
