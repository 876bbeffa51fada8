from keras_mim.converters.layouts.keras_hub import KerasHubLayout
from keras_mim.converters.layouts.keras_hub import dense_pairs
from keras_mim.converters.layouts.keras_hub import norm_pairs
from keras_mim.encoders import Swin


class KerasHubSwin(KerasHubLayout):
    """`Swin` and `SwinTransformerBackbone`.

    Every weight of the one stands in the other, in the same order and layout,
    but for the patch kernel, which is a matrix here and a convolution there.
    Where windows or merging do not divide a map, the two differ.
    """

    encoder_class = Swin
    backbone_class = "SwinTransformerBackbone"
    arguments = {
        "image_shape": "image_shape",
        "patch_size": "patch_size",
        "hidden_dim": "embed_dim",
        "depths": "depths",
        "num_heads": "num_heads",
        "window_size": "window_size",
        "mlp_ratio": "mlp_ratio",
        "drop_path_rate": "drop_path",
    }
    required = {
        "dropout_rate": 0.0,
        "attention_dropout": 0.0,
        "qkv_bias": True,
        "patch_norm": True,
        "data_format": "channels_last",
    }

    def check_encoder(self, encoder):
        # KerasHub makes a window as small as the map, but not its biases, and
        # rounds a merged map down where the merging itself rounds up: both are
        # errors at the first call. It also shifts a map before padding it,
        # which runs, but not as in the references: there the padding is
        # shifted, too.
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
                    "pads after shifting, not before as Swin does, where "
                    "shifted windows do not divide the map"
                )
            else:
                continue
            raise ValueError(
                f"KerasHub's SwinTransformerBackbone {difference}. Received: "
                f"image_shape={encoder.image_shape}, "
                f"patch_size={encoder.patch_size}, window_size={window}, whose "
                f"stage {stage} has a map of {grid[0]}x{grid[1]} tokens"
            )

    def pairs(self, encoder, backbone):
        patches, norm = encoder.patch_embedding.layers
        hub_patches = backbone.patch_embedding
        hub_blocks = [b for stage in backbone.stages for b in stage.blocks]
        pairs = [
            *dense_pairs(patches.projection, hub_patches.proj),
            *norm_pairs(norm, hub_patches.norm),
            *norm_pairs(encoder.norm, backbone.norm),
        ]
        for block, hub_block in zip(encoder.blocks, hub_blocks):
            attention, hub_attention = block.attention, hub_block.attn
            table = hub_attention.relative_position_bias_table
            pairs += [
                (attention.table, [table]),
                *norm_pairs(block.attention_norm, hub_block.norm1),
                *dense_pairs(attention.query_key_value, hub_attention.qkv),
                *dense_pairs(attention.projection, hub_attention.proj),
                *norm_pairs(block.mlp_norm, hub_block.norm2),
                *dense_pairs(block.mlp_in, hub_block.mlp.fc1),
                *dense_pairs(block.mlp_out, hub_block.mlp.fc2),
            ]
        for merging, stage in zip(encoder.mergings, backbone.stages):
            reduction = stage.downsample.reduction.kernel
            pairs.append((merging.reduction.kernel, [reduction]))
            pairs += norm_pairs(merging.norm, stage.downsample.norm)
        return pairs
