from keras_mim._checks import is_number
from keras_mim.targets._teachers import freeze
from keras_mim.transfer._encoder_head import encoder_in


def train_last_blocks(model, num_blocks):
    """Freezes a classifier but for its last blocks and what follows them.

    Partial fine-tuning, between the linear probe (0) and fine-tuning (all).
    Half a block is its MLP with the norm before it. All blocks train the patch
    embedding and the positions too. Call it before `compile`, and before
    `layer_scales`, which are of the weights that train. The model's files hold
    what is frozen.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), figure 9 and
    "partial fine-tuning".

    Args:
        model: `keras_mim.transfer.Classifier`, or a model of your own with
            one encoder in it as a layer.
        num_blocks: float. Number of blocks that train: a multiple of 0.5 from 0
            to the encoder's number of blocks; whole where blocks have no
            attention.

    Example:

    >>> classifier = keras_mim.transfer.Classifier(mae.encoder, 10)
    >>> keras_mim.transfer.train_last_blocks(classifier, 0.5)
    >>> classifier.compile(...)
    """
    encoder = encoder_in(model)
    stem, *blocks, _ = encoder.layer_groups
    right = is_number(num_blocks) and not 2 * num_blocks % 1
    if not right or not 0 <= num_blocks <= len(blocks):
        raise ValueError(
            "`num_blocks` must be a multiple of 0.5 from 0 to the number of "
            f"blocks, {len(blocks)}. Received: num_blocks={num_blocks!r}"
        )
    # The first whose attention trains, and the first of which anything does.
    whole = len(blocks) - int(num_blocks)
    partly = whole - int(2 * num_blocks) % 2
    frozen = [x for group in (stem, *blocks[:partly]) for x in group.layers]
    for block in blocks[partly:whole]:
        if not block.attention:
            raise ValueError(
                f"`num_blocks` must be whole: a block of "
                f"{type(encoder).__name__} has no attention to leave out. "
                f"Received: num_blocks={num_blocks}"
            )
        frozen += block.attention
    freeze(encoder)
    encoder.trainable = True
    if num_blocks < len(blocks):
        for layer in frozen:
            layer.trainable = False
