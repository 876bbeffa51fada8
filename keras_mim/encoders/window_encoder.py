import keras

from keras_mim import layers
from keras_mim import ops


class WindowEncoder(keras.Model):
    """What both Swins share: stages of blocks, and merging between them.

    A subclass names the sizes of its paper in `sizes`.

    Args: those of `Swin`, and:
        block_of: function of two int, stage and block in it. Returns what makes
            the block, given the arguments of `SwinBlock`.
        norm_last: bool. As `PatchMerging`'s.
    """

    sizes = {}

    def __init__(
        self,
        image_shape,
        patch_size,
        hidden_dim,
        depths,
        num_heads,
        window_size,
        mlp_ratio,
        drop_path_rate,
        remat,
        block_of,
        norm_last,
        dtype,
        name,
        **kwargs,
    ):
        image_shape = tuple(image_shape)
        depths, num_heads = tuple(depths), tuple(num_heads)
        grid = ops.patch_grid(image_shape, patch_size)
        if not depths or len(depths) != len(num_heads) or min(depths) < 1:
            raise ValueError(
                "`depths` and `num_heads` must hold one positive number per "
                f"stage. Received: depths={depths}, num_heads={num_heads}"
            )
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
                keras.layers.LayerNormalization(
                    epsilon=1e-5, dtype=policy, name="norm"
                ),
            ],
            name="patch_embedding",
        )
        position_embedding = keras.layers.Identity(
            dtype=policy, name="position_embedding"
        )
        blocks, mergings, stage_grid = [], [], grid
        for stage, (depth, heads) in enumerate(zip(depths, num_heads)):
            for i in range(depth):
                rate = drop_path_rate * len(blocks) / max(sum(depths) - 1, 1)
                block = block_of(stage, i)(
                    stage_grid,
                    heads,
                    window_size,
                    int(mlp_ratio * hidden_dim * 2**stage),
                    shift_size=i % 2 * (window_size // 2),
                    drop_path_rate=rate,
                    remat=remat,
                    dtype=policy,
                    name=f"stage_{stage}_block_{i}",
                )
                blocks.append(block)
            if stage < len(depths) - 1:
                merging = layers.PatchMerging(
                    stage_grid,
                    norm_last,
                    dtype=policy,
                    name=f"stage_{stage}_merging",
                )
                mergings.append(merging)
                stage_grid = merging.output_grid
        norm = keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=policy, name="norm"
        )
        patch_tokens = keras.Input(
            (grid[0] * grid[1], hidden_dim),
            dtype=policy.compute_dtype,
            name="tokens",
        )
        x = _stages(patch_tokens, depths, blocks, mergings)[-1]
        trunk = keras.Model(patch_tokens, norm(x), name="trunk")

        images = keras.Input(image_shape, name="images")
        tokens = trunk(position_embedding(patch_embedding(images)))
        super().__init__(images, tokens, name=name, **kwargs)

        self.dtype_policy = policy
        self.image_shape = image_shape
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.depths = depths
        self.num_heads = num_heads
        self.window_size = window_size
        self.mlp_ratio = mlp_ratio
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.grid = grid
        self.num_patches = grid[0] * grid[1]
        self.num_prefix_tokens = 0
        self.output_grid = stage_grid
        self.output_dim = hidden_dim * 2 ** (len(depths) - 1)
        self.stride = patch_size * 2 ** (len(depths) - 1)
        # For a mask token: `trunc_normal_` of 0.02, cut at -2 and 2.
        self.token_initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.patch_embedding = patch_embedding
        self.position_embedding = position_embedding
        self.trunk = trunk
        self.blocks = blocks
        self.mergings = mergings
        self.norm = norm

    @classmethod
    def from_size(cls, size, image_shape, **kwargs):
        """Builds a size of the paper.

        Args:
            size: str. Name of the size, one of those in `sizes`.
            image_shape: tuple of int. `(height, width, channels)`.
            **kwargs: Further arguments of the class; they win over the size's.
        """
        if size not in cls.sizes:
            raise ValueError(
                f"`size` must be one of {sorted(cls.sizes)}. "
                f"Received: size={size!r}"
            )
        return cls(image_shape, **{**cls.sizes[size], **kwargs})

    def feature_maps(self, images, layers):
        """Returns the tokens after given stages as feature maps.

        What dense heads (detection, segmentation) start from; taken before
        merging, and with no final layer norm applied.

        Args:
            images: Tensor of shape `(batch_size, height, width, channels)`.
            layers: tuple of int. Indices of stages, from 0; the usual choice
                is `(0, 1, 2, 3)`.

        Returns:
            List of tensors of shape `(batch_size, stage_height, stage_width,
            hidden_dim * 2 ** stage)`, in the order of `layers`.
        """
        num_stages = len(self.depths)
        if not all(0 <= i < num_stages for i in layers):
            raise ValueError(
                f"`layers` must lie in [0, {num_stages}). "
                f"Received: layers={tuple(layers)}"
            )
        tokens = self.position_embedding(self.patch_embedding(images))
        depths = self.depths[: max(layers) + 1]
        stages = _stages(tokens, depths, self.blocks, self.mergings)
        grids = [self.grid, *(m.output_grid for m in self.mergings)]
        return [
            keras.ops.reshape(
                stages[i], (-1, *grids[i], self.hidden_dim * 2**i)
            )
            for i in layers
        ]

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "image_shape": self.image_shape,
            "patch_size": self.patch_size,
            "hidden_dim": self.hidden_dim,
            "depths": self.depths,
            "num_heads": self.num_heads,
            "window_size": self.window_size,
            "mlp_ratio": self.mlp_ratio,
            "drop_path_rate": self.drop_path_rate,
            "remat": self.remat,
        }


def _stages(tokens, depths, blocks, mergings):
    """Returns the tokens after each stage, before merging."""
    stages, blocks = [], iter(blocks)
    for stage, depth in enumerate(depths):
        if stage:
            tokens = mergings[stage - 1](tokens)
        for _ in range(depth):
            tokens = next(blocks)(tokens)
        stages.append(tokens)
    return stages
