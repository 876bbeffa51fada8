"""The rules by which papers fine-tune each layer at a rate of its own."""

from keras_mim._checks import check_numbers
from keras_mim.transfer._encoder_head import encoder_in


def layer_ids(model):
    """Returns how deep each trainable weight of a classifier stands.

    The position of its group in `encoder.layer_groups`: 0 is what makes tokens
    (patch embedding, class token, positions), `i` are the weights of block
    `i`, counted from 1, with its own relative positions; a Swin's merging goes
    with the block before it. What follows the blocks has the number of blocks
    plus 1, and so have the head and a relative position bias that all blocks
    share.

    References: `param_groups_lrd` of MAE's code, `get_vit_layer` and
    `get_swin_layer` of SimMIM's.

    Args:
        model: `keras_mim.transfer.Classifier`, or a model of your own with
            one encoder in it as a layer.

    Returns:
        List of int, in the order of `model.trainable_weights`.
    """
    groups = encoder_in(model).layer_groups
    ids = {
        id(weight): number
        for number, group in enumerate(groups)
        for layer in group.layers
        for weight in layer.weights
    }
    last = len(groups) - 1
    return [ids.get(id(w), last) for w in model.trainable_weights]


def layer_scales(model, layer_decay):
    """Returns the share of the learning rate that each weight gets.

    The last layers get all of it, and each one before them `layer_decay` of
    what the next one gets: `layer_decay ** (num_blocks + 1 - layer_id)`.

    Args:
        model: `keras_mim.transfer.Classifier`, or a model of your own with
            one encoder in it as a layer.
        layer_decay: float in (0, 1]. MAE's is 0.65 for ViT-B and 0.75 for
            larger ones; SimMIM's 0.65 for ViT-B, 0.9 (or 0.8, after 800 epochs)
            for Swin-B, 0.7 for Swin-L.

    Returns:
        List of float, in the order of `model.trainable_weights`.
    """
    check_numbers("(0, 1]", layer_decay=layer_decay)
    ids = layer_ids(model)
    last = len(encoder_in(model).layer_groups) - 1
    return [layer_decay ** (last - i) for i in ids]


def decayed_weights(model):
    """Returns which weights have weight decay when papers fine-tune.

    Biases, norms and other weights of one dimension have none, nor have
    `encoder.undecayed_weights()`: the class token, learned positions, and a
    Swin's relative positions. A ViT's relative positions decay, as in SimMIM's
    code.

    Args:
        model: `keras_mim.transfer.Classifier`, or a model of your own with
            one encoder in it as a layer.

    Returns:
        List of bool, in the order of `model.trainable_weights`.
    """
    exempt = {id(w) for w in encoder_in(model).undecayed_weights()}
    return [
        len(w.shape) > 1 and id(w) not in exempt
        for w in model.trainable_weights
    ]
