"""Values that an optimizer has one of for each weight."""


def checked_scales(scales):
    """Returns learning-rate scales as a list of float; `None` stays."""
    if scales is None:
        return None
    scales = [float(scale) for scale in scales]
    if min(scales, default=0) < 0:
        raise ValueError(
            "`learning_rate_scales` must not be negative. "
            f"Received: {min(scales)}"
        )
    return scales


def check_number(name, values, variables):
    """Raises if there is not one value per variable; `None` passes."""
    if values is not None and len(values) != len(variables):
        raise ValueError(
            f"`{name}` must hold one value for each of the "
            f"{len(variables)} trainable weights. "
            f"Received: {len(values)} values"
        )
