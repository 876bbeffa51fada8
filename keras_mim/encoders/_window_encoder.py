import keras

from keras_mim import layers
from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim._checks import check_image_shape
from keras_mim._checks import check_numbers
from keras_mim.encoders.encoder import Encoder
from keras_mim.encoders.layer_group import LayerGroup
from keras_mim.layers._swin_sizes import SIZES
from keras_mim.layers._swin_sizes import check_stages
from keras_mim.layers._token_norm import TokenNorm
from keras_mim.ops import patch_grid


class WindowEncoder(Encoder):
    """What both Swins share: stages of blocks, and merging between them.

    A subclass names its block in `block_class`.

    Args: those of `Swin`, and:
        block_options: function of two int, stage and block in it, that returns
            a dict: further arguments of that block. `None` is none.
    """

    sizes = SIZES
    block_class = None

    def __init__(
        self,
        image_shape,
        patch_size=4,
        hidden_dim=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        window_size=7,
        mlp_ratio=4,
        drop_path_rate=0.0,
        remat=False,
        dtype=None,
        name="swin",
        normalization=None,
        block_options=None,
        **kwargs,
    ):
        depths, num_heads = check_stages(depths, num_heads)
        check_counts(hidden_dim=hidden_dim, window_size=window_size)
        check_numbers("[0, 1)", drop_path_rate=drop_path_rate)
        check_numbers("(0, inf)", mlp_ratio=mlp_ratio)
        check_flags(remat=remat)
        image_shape = check_image_shape(image_shape)
        grid = patch_grid(image_shape, patch_size)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        patch_embedding = keras.Sequential(
            [
                layers.PatchEmbedding(
                    patch_size,
                    hidden_dim,
                    # PyTorch's default: uniform within 1 / sqrt(fan_in).
                    keras.initializers.VarianceScaling(
                        1 / 3, mode="fan_in", distribution="uniform"
                    ),
                    dtype=policy,
                    name="patches",
                ),
                TokenNorm(epsilon=1e-5, dtype=policy, name="norm"),
            ],
            name="patch_embedding",
        )
        patch_tokens = keras.Input(
            (grid[0] * grid[1], hidden_dim),
            dtype=policy.compute_dtype,
            name="tokens",
        )
        x = patch_tokens
        blocks, mergings, features = [], [], []
        for stage, (depth, heads) in enumerate(zip(depths, num_heads)):
            for i in range(depth):
                block = self.block_class(
                    grid,
                    heads,
                    window_size,
                    int(mlp_ratio * hidden_dim * 2**stage),
                    shift_size=i % 2 * (window_size // 2),
                    drop_path_rate=drop_path_rate
                    * len(blocks)
                    / max(sum(depths) - 1, 1),
                    remat=remat,
                    **(block_options(stage, i) if block_options else {}),
                    dtype=policy,
                    name=f"stage_{stage}_block_{i}",
                )
                x = block(x)
                blocks.append(block)
            features.append((x, grid, patch_size * 2**stage))
            if stage < len(depths) - 1:
                merging = layers.PatchMerging(
                    grid,
                    self.block_class.norm_last,
                    dtype=policy,
                    name=f"stage_{stage}_merging",
                )
                x = merging(x)
                mergings.append(merging)
                grid = merging.output_grid
        norm = TokenNorm(epsilon=1e-5, dtype=policy, name="norm")
        super().__init__(
            image_shape,
            patch_size,
            patch_embedding=patch_embedding,
            trunk=keras.Model(patch_tokens, norm(x), name="trunk"),
            blocks=blocks,
            features=features,
            norm=norm,
            normalization=normalization,
            dtype=policy,
            name=name,
            **kwargs,
        )
        self.hidden_dim = hidden_dim
        self.depths = depths
        self.num_heads = num_heads
        self.window_size = window_size
        self.mlp_ratio = mlp_ratio
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.mergings = mergings

    @property
    def layer_groups(self):
        stem, *groups, last = super().layer_groups
        # A merging goes with the block before it.
        ends = {
            sum(self.depths[: stage + 1]) - 1: merging
            for stage, merging in enumerate(self.mergings)
        }
        groups = [
            LayerGroup(
                (block, *([ends[i]] if i in ends else [])),
                tuple(block.attention_layers()),
            )
            for i, block in enumerate(self.blocks)
        ]
        return [stem, *groups, LayerGroup((self.norm,))]

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "depths": self.depths,
            "num_heads": self.num_heads,
            "window_size": self.window_size,
            "mlp_ratio": self.mlp_ratio,
            "drop_path_rate": self.drop_path_rate,
            "remat": self.remat,
        }
