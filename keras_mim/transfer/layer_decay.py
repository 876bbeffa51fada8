"""The rules by which papers fine-tune each layer at a rate of its own."""

from keras_mim.encoders import Swin
from keras_mim.encoders.window_encoder import WindowEncoder


def layer_ids(model):
    """Returns how deep each trainable weight of a classifier stands.

    0 is what makes tokens (patch embedding, class token, positions), `i` are
    the weights of block `i`, counted from 1, with its own relative positions;
    a Swin's merging goes with the block before it. What follows the blocks has
    the number of blocks plus 1, and so has a relative position bias that all
    blocks share.

    References: `param_groups_lrd` of MAE's code, `get_vit_layer` and
    `get_swin_layer` of SimMIM's.

    Args:
        model: `keras_mim.transfer.Classifier`.

    Returns:
        List of int, in the order of `model.trainable_weights`.
    """
    encoder = model.encoder
    last = len(encoder.blocks) + 1
    stages = [
        (encoder.patch_embedding, 0),
        (encoder.position_embedding, 0),
        *((block, i + 1) for i, block in enumerate(encoder.blocks)),
    ]
    if isinstance(encoder, WindowEncoder):
        stages += [
            (merging, sum(encoder.depths[: stage + 1]))
            for stage, merging in enumerate(encoder.mergings)
        ]
    elif encoder.positions == "relative":
        stages += [
            (bias, i + 1) for i, bias in enumerate(encoder.position_biases)
        ]
    ids = {id(w): number for part, number in stages for w in part.weights}
    return [ids.get(id(w), last) for w in model.trainable_weights]


def layer_scales(model, layer_decay):
    """Returns the share of the learning rate that each weight gets.

    The last layers get all of it, and each one before them `layer_decay` of
    what the next one gets: `layer_decay ** (num_blocks + 1 - layer_id)`.

    Args:
        model: `keras_mim.transfer.Classifier`.
        layer_decay: float in (0, 1]. MAE's is 0.65 for ViT-B and 0.75 for
            larger ones; SimMIM's 0.65 for ViT-B, 0.9 (or 0.8, after 800 epochs)
            for Swin-B, 0.7 for Swin-L.

    Returns:
        List of float, in the order of `model.trainable_weights`.
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(
            "`layer_decay` must lie in (0, 1]. "
            f"Received: layer_decay={layer_decay}"
        )
    last = len(model.encoder.blocks) + 1
    return [layer_decay ** (last - i) for i in layer_ids(model)]


def decayed_weights(model):
    """Returns which weights have weight decay when papers fine-tune.

    Not biases, norms and other weights of one dimension, not the class token,
    not learned positions, and not a Swin's relative positions. A ViT's
    relative positions do, as in SimMIM's code.

    Args:
        model: `keras_mim.transfer.Classifier`.

    Returns:
        List of bool, in the order of `model.trainable_weights`.
    """
    encoder = model.encoder
    exempt = list(encoder.position_embedding.weights)
    if isinstance(encoder, WindowEncoder):
        for attention in (block.attention for block in encoder.blocks):
            if isinstance(encoder, Swin):
                exempt.append(attention.table)
            else:
                exempt.append(attention.position_in.kernel)
                exempt.append(attention.position_out.kernel)
    exempt = {id(w) for w in exempt}
    return [
        len(w.shape) > 1 and id(w) not in exempt
        for w in model.trainable_weights
    ]
