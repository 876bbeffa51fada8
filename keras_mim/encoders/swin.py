import keras

from keras_mim import layers
from keras_mim import ops

# [Liu et al., 2021](https://arxiv.org/abs/2103.14030), section 3.3. It also
# names small; SimMIM takes base and large.
SIZES = {
    "tiny": {
        "hidden_dim": 96,
        "depths": (2, 2, 6, 2),
        "num_heads": (3, 6, 12, 24),
    },
    "small": {
        "hidden_dim": 96,
        "depths": (2, 2, 18, 2),
        "num_heads": (3, 6, 12, 24),
    },
    "base": {
        "hidden_dim": 128,
        "depths": (2, 2, 18, 2),
        "num_heads": (4, 8, 16, 32),
    },
    "large": {
        "hidden_dim": 192,
        "depths": (2, 2, 18, 2),
        "num_heads": (6, 12, 24, 48),
    },
}


@keras.saving.register_keras_serializable(package="keras_mim")
class Swin(keras.Model):
    """Swin transformer: images to tokens, coarser and wider stage by stage.

    A plain functional model. As with `ViT`, a masked image model meets the
    mask between its stages: `patch_embedding` (with a layer norm),
    `position_embedding` (the identity: positions come as biases inside the
    windows) and `trunk` (all blocks and a layer norm). The mask is over the
    `num_patches` patches of `grid`; the output tokens form the coarser
    `output_grid`, each for a cell of `stride` pixels.

    Reference: [Liu et al., 2021](https://arxiv.org/abs/2103.14030). Initialised
    as there, but for the patch kernel, which is `PatchEmbedding`'s. Any image
    works whose sides are divisible by `patch_size`; see `WindowAttention` and
    `PatchMerging` for those that windows or merging do not divide.

    Args:
        image_shape: tuple of int. `(height, width, channels)`: any channels,
            height and width divisible by `patch_size`.
        patch_size: int. Side of a patch in pixels. Defaults to `4`.
        hidden_dim: int. Width of a token in the first stage (`embed_dim`
            elsewhere); every further stage doubles it. Defaults to `96`.
        depths: tuple of int. Number of blocks per stage.
            Defaults to `(2, 2, 6, 2)`.
        num_heads: tuple of int. Number of attention heads per stage.
            Defaults to `(3, 6, 12, 24)`.
        window_size: int. Side of a window in tokens. Defaults to `7`.
        mlp_ratio: float. Hidden width of the perceptrons over that of the
            token. Defaults to `4`.
        drop_path_rate: float. Rate of stochastic depth in the last block; it
            rises linearly from 0 in the first. Defaults to `0.0`.

    Input shape: `(batch_size, height, width, channels)`, normalised pixels.

    Output shape: `(batch_size, output_height * output_width, output_dim)`, row
    by row.

    Example:

    >>> encoder = keras_mim.encoders.Swin.from_size("tiny", (224, 224, 3))
    >>> encoder(np.zeros((1, 224, 224, 3))).shape
    (1, 49, 768)
    """

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
        dtype=None,
        name="swin",
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
                    patch_size, hidden_dim, dtype=policy, name="patches"
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
                block = layers.SwinBlock(
                    stage_grid,
                    heads,
                    window_size,
                    int(mlp_ratio * hidden_dim * 2**stage),
                    shift_size=i % 2 * (window_size // 2),
                    drop_path_rate=rate,
                    dtype=policy,
                    name=f"stage_{stage}_block_{i}",
                )
                blocks.append(block)
            if stage < len(depths) - 1:
                merging = layers.PatchMerging(
                    stage_grid, dtype=policy, name=f"stage_{stage}_merging"
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
        self.grid = grid
        self.num_patches = grid[0] * grid[1]
        self.num_prefix_tokens = 0
        self.output_grid = stage_grid
        self.output_dim = hidden_dim * 2 ** (len(depths) - 1)
        self.stride = patch_size * 2 ** (len(depths) - 1)
        self.patch_embedding = patch_embedding
        self.position_embedding = position_embedding
        self.trunk = trunk
        self.blocks = blocks
        self.mergings = mergings

    @classmethod
    def from_size(cls, size, image_shape, **kwargs):
        """Builds a size of the paper: tiny, small, base or large.

        Args:
            size: str. Name of the size.
            image_shape: tuple of int. `(height, width, channels)`.
            **kwargs: Further arguments of `Swin`; they win over the size's.
        """
        if size not in SIZES:
            raise ValueError(
                f"`size` must be one of {sorted(SIZES)}. "
                f"Received: size={size!r}"
            )
        return cls(image_shape, **{**SIZES[size], **kwargs})

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
