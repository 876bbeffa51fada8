"""What a `Swin` and KerasHub's `SwinTransformerBackbone` have in common.

Every weight of the one stands in the other, in the same order and layout, but
for the patch kernel, which is a matrix here and a convolution there. Where
windows or merging do not divide a map, the two differ.
"""


def check_swin_grids(encoder):
    """Raises a `ValueError` where KerasHub's backbone computes otherwise.

    KerasHub makes a window as small as the map, but not its biases, and rounds
    a merged map down where the merging itself rounds up: both are errors at
    the first call. It also shifts a map before padding it, which runs, but
    not as in the references: there the padding is shifted, too.

    Args:
        encoder: `keras_mim.encoders.Swin`.
    """
    window = encoder.window_size
    grids = [encoder.grid, *(m.output_grid for m in encoder.mergings)]
    for stage, (grid, depth) in enumerate(zip(grids, encoder.depths)):
        shifted = depth > 1 and window > 1 and min(grid) > window
        if min(grid) < window:
            difference = "cannot compute windows larger than the map"
        elif stage < len(encoder.mergings) and any(s % 2 for s in grid):
            difference = "cannot merge the patches of a map with odd sides"
        elif shifted and any(side % window for side in grid):
            difference = (
                "pads after shifting, not before as Swin does, where shifted "
                "windows do not divide the map"
            )
        else:
            continue
        raise ValueError(
            f"KerasHub's SwinTransformerBackbone {difference}. Received: "
            f"image_shape={encoder.image_shape}, "
            f"patch_size={encoder.patch_size}, window_size={window}, whose "
            f"stage {stage} has a map of {grid[0]}x{grid[1]} tokens"
        )


def swin_pairs(encoder, backbone):
    """Returns `(variable, KerasHub's variables)` for every weight.

    Args:
        encoder: `keras_mim.encoders.Swin`.
        backbone: `keras_hub.models.SwinTransformerBackbone` of its sizes.

    Returns:
        List of pairs, the second of each being a list of one variable.
    """
    patches, norm = encoder.patch_embedding.layers
    hub_patches = backbone.patch_embedding
    pairs = _dense(patches.projection, hub_patches.proj)
    pairs += _norm(norm, hub_patches.norm)
    hub_blocks = [block for stage in backbone.stages for block in stage.blocks]
    for block, hub_block in zip(encoder.blocks, hub_blocks):
        attention, hub_attention = block.attention, hub_block.attn
        table = hub_attention.relative_position_bias_table
        pairs += [
            *_norm(block.attention_norm, hub_block.norm1),
            (attention.table, [table]),
            *_dense(attention.query_key_value, hub_attention.qkv),
            *_dense(attention.projection, hub_attention.proj),
            *_norm(block.mlp_norm, hub_block.norm2),
            *_dense(block.mlp_in, hub_block.mlp.fc1),
            *_dense(block.mlp_out, hub_block.mlp.fc2),
        ]
    for merging, stage in zip(encoder.mergings, backbone.stages):
        reduction = merging.reduction.kernel
        pairs += _norm(merging.norm, stage.downsample.norm)
        pairs.append((reduction, [stage.downsample.reduction.kernel]))
    return pairs + _norm(encoder.norm, backbone.norm)


def _dense(layer, hub_layer):
    return [(layer.kernel, [hub_layer.kernel]), (layer.bias, [hub_layer.bias])]


def _norm(layer, hub_layer):
    return [(layer.gamma, [hub_layer.gamma]), (layer.beta, [hub_layer.beta])]
