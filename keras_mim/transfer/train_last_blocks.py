from keras_mim.encoders.window_encoder import WindowEncoder
from keras_mim.targets.feature_target import freeze


def train_last_blocks(model, num_blocks):
    """Freezes a classifier but for its last blocks and what follows them.

    Partial fine-tuning, between the linear probe (0) and fine-tuning (all).
    Half a block is its MLP with the norm before it. All blocks train the patch
    embedding and the positions too. Call it before `compile`, and before
    `layer_scales`, which are of the weights that train.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), figure 9 and
    "partial fine-tuning".

    Args:
        model: `keras_mim.transfer.Classifier`.
        num_blocks: float. Number of blocks that train: a multiple of 0.5 from 0
            to the encoder's number of blocks.

    Example:

    >>> classifier = keras_mim.transfer.Classifier(mae.encoder, 10)
    >>> keras_mim.transfer.train_last_blocks(classifier, 0.5)
    >>> classifier.compile(...)
    """
    encoder = model.encoder
    blocks = encoder.blocks
    if not 0 <= num_blocks <= len(blocks) or 2 * num_blocks % 1:
        raise ValueError(
            "`num_blocks` must be a multiple of 0.5 from 0 to the number of "
            f"blocks, {len(blocks)}. Received: num_blocks={num_blocks}"
        )
    freeze(encoder)
    encoder.trainable = True
    if num_blocks == len(blocks):
        return
    # The first whose attention trains, and the first of which anything does.
    whole = len(blocks) - int(num_blocks)
    partly = whole - int(2 * num_blocks) % 2
    frozen = [
        encoder.patch_embedding,
        encoder.position_embedding,
        *blocks[:partly],
    ]
    for block in blocks[partly:whole]:
        frozen += [block.attention_norm, block.attention]
        frozen += block.attention_branch_end
    if isinstance(encoder, WindowEncoder):
        # A merging goes with the block before it.
        frozen += [
            merging
            for stage, merging in enumerate(encoder.mergings)
            if sum(encoder.depths[: stage + 1]) <= partly
        ]
    else:
        frozen += encoder.position_biases[:whole]
    for layer in frozen:
        layer.trainable = False
