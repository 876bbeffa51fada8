from keras_mim.encoders.window_encoder import WindowEncoder


def copied(encoder, **changes):
    """Returns a copy of an encoder, built with other arguments.

    Args:
        encoder: An encoder of `keras_mim.encoders`.
        **changes: Arguments of its class: those that change no weight, a
            ViT's `use_final_norm=False`, `positions="learned"` for fixed
            ones, and `"relative"` for a shared table, of which each block
            gets a copy.
    """
    copy = type(encoder).from_config({**encoder.get_config(), **changes})
    pairs = [
        (copy.patch_embedding, encoder.patch_embedding),
        (copy.position_embedding, encoder.position_embedding),
        *zip(copy.blocks, encoder.blocks),
    ]
    if isinstance(encoder, WindowEncoder):
        pairs += zip(copy.mergings, encoder.mergings)
    else:
        own = encoder.position_biases
        pairs += [
            (bias, own[i % len(own)])
            for i, bias in enumerate(copy.position_biases)
        ]
    if copy.norm is not None:
        pairs.append((copy.norm, encoder.norm))
    for new, old in pairs:
        new.set_weights(old.get_weights())
    return copy
