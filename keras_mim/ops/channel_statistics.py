import numpy as np

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def channel_statistics(channels, mean=None, std=None):
    """Gives the mean and standard deviation that pixels are normalised with.

    Pixels scaled to [0, 1] are normalised as `(pixels - mean) / std`. Three
    channels are taken as RGB and get ImageNet's statistics, which MAE and
    SimMIM use; any other count gets 0.5 and 0.5, which maps to [-1, 1].

    Args:
        channels: int. Number of channels.
        mean: sequence of floats, one per channel, for pixels in [0, 1].
            Defaults to `None`: the values above.
        std: sequence of positive floats, one per channel, for pixels in
            [0, 1]. Defaults to `None`: the values above.

    Returns: A pair `(mean, std)` of float32 arrays of shape `(channels,)`.

    Raises:
        ValueError: if a length is not `channels`, or `std` is not positive.

    Example:

    >>> mean, std = channel_statistics(3)
    >>> pixels = normalized * std + mean
    """
    if mean is None:
        mean = IMAGENET_MEAN if channels == 3 else (0.5,) * channels
    if std is None:
        std = IMAGENET_STD if channels == 3 else (0.5,) * channels
    for name, values in (("mean", mean), ("std", std)):
        if np.shape(values) != (channels,):
            raise ValueError(
                f"`{name}` must hold one number per channel, expected "
                f"{channels}. Received: {name}={values}"
            )
    if not np.all(np.asarray(std) > 0):
        raise ValueError(f"`std` must be positive. Received: std={std}")
    return np.asarray(mean, "float32"), np.asarray(std, "float32")
