from keras import ops

from keras_mim.layers._settings import apply_settings


def make_copy(encoder, changes):
    """Returns an encoder under other arguments; see `Encoder.copy`.

    Args:
        encoder: `Encoder`.
        changes: dict. The arguments that are other ones.
    """
    config = encoder.get_config()
    settings = config.pop("layer_settings")
    unknown = sorted(set(changes) - set(config))
    if unknown:
        raise ValueError(
            f"`{type(encoder).__name__}` can be copied with other values of "
            f"{sorted(config)}. Received: {', '.join(unknown)}"
        )
    copy = type(encoder).from_config({**config, **changes})
    # One layer for all blocks may become one for each, under other names.
    for own, old in zip(copy.position_layers(), encoder.position_layers()):
        if own.trainable != old.trainable:
            own.trainable = old.trainable
    apply_settings(copy, settings, with_dtypes="dtype" not in changes)
    copy.load_weights_of(encoder)
    return copy


def take_weights(encoder, other):
    """Gives an encoder the weights of another; see `Encoder.load_weights_of`.

    Args:
        encoder: `Encoder` to be filled: as a whole, or not at all.
        other: `Encoder` of the same class, with as many blocks.
    """
    layers = zip(encoder.position_layers(), other.position_layers())
    values = [(own.table, old.resized_table(own)) for own, old in layers]
    pairs = [(_weights_in_order(encoder), _weights_in_order(other))]
    if encoder.norm is not None and other.norm is not None:
        pairs.append((encoder.norm.weights, other.norm.weights))
    for own, old in pairs:
        if len(own) != len(old):
            raise ValueError(
                "The other encoder must have the same kinds of weights, "
                f"{len(own)} of them. Received: an encoder with {len(old)}"
            )
        values += zip(own, map(ops.convert_to_numpy, old), strict=True)
    for weight, value in values:
        if value.shape != tuple(weight.shape):
            raise ValueError(
                f"`{weight.path}` must have shape {tuple(weight.shape)}. "
                f"Received: an encoder with shape {value.shape}"
            )
    for weight, value in values:
        weight.assign(value)


def _weights_in_order(encoder):
    """Returns all weights but tables of positions and the last norm's."""
    layers = [x for group in encoder.layer_groups for x in group.layers]
    tables = {id(layer.table) for layer in encoder.position_layers()}
    return [
        weight
        for layer in layers
        for weight in layer.weights
        if layer is not encoder.norm and id(weight) not in tables
    ]
