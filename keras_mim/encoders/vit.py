import keras

from keras_mim import layers
from keras_mim import ops
from keras_mim.encoders import vit_parts
from keras_mim.encoders.vit_parts import SIZES


@keras.saving.register_keras_serializable(package="keras_mim")
class ViT(keras.Model):
    """Vision transformer: images to tokens, with no mask and no randomness.

    A plain functional model of three stages, between which a masked image
    model meets the mask: `patch_embedding`, `position_embedding` (puts the
    class token in front and adds positions) and `trunk` (the blocks and a
    layer norm).

    References: [Dosovitskiy et al., 2020](https://arxiv.org/abs/2010.11929).
    The defaults are MAE's encoder
    ([He et al., 2021](https://arxiv.org/abs/2111.06377)); SimMIM's and BEiT's
    have `positions="shared_relative"`, `layer_scale=0.1`, `use_key_bias=False`
    and `initialization="beit"`.

    Args:
        image_shape: tuple of int. `(height, width, channels)`: any channels,
            height and width divisible by `patch_size`.
        patch_size: int. Side of a patch in pixels.
        hidden_dim: int. Width of a token (`embed_dim` elsewhere).
        num_layers: int. Number of blocks (`depth` elsewhere).
        num_heads: int. Number of attention heads.
        mlp_dim: int. Hidden width of the perceptrons.
        use_class_token: bool. Whether a class token leads the patch tokens.
            Defaults to `True`.
        positions: str. `"sine_cosine"` (fixed, MAE's), `"learned"`,
            `"relative"` (a bias of the attention in each block, as SimMIM and
            BEiT fine-tune) or `"shared_relative"` (the same bias in all, as
            they pre-train). MAE cannot drop tokens of the last two.
            Defaults to `"sine_cosine"`.
        drop_path_rate: float. Rate of stochastic depth in the last block; it
            rises linearly from 0 in the first. Defaults to `0.0`.
        layer_scale: float or `None`. Initial factor of `LayerScale` in every
            block; `None` leaves it out. Defaults to `None`.
        use_key_bias: bool. Whether attention keys have a bias: SimMIM's and
            BEiT's have none. Defaults to `True`.
        initialization: str. `"mae"` (Xavier kernels) or `"beit"`, which is
            SimMIM's too: kernels and tokens normal, cut at their deviation of
            0.02; the last kernels of both branches of block i, counted from 1,
            over `sqrt(2 * i)`; biases zero. Defaults to `"mae"`.
        use_final_norm: bool. Whether a layer norm ends the trunk: classifiers
            that pool the mean replace it. Defaults to `True`.
        remat: bool. Gradient checkpointing: whether training computes every
            block a second time for the gradient, instead of keeping its inner
            values. Defaults to `False`.

    Input shape: `(batch_size, height, width, channels)`, normalised pixels.

    Output shape: `(batch_size, num_prefix_tokens + num_patches, hidden_dim)`,
    the class token first, then the patches row by row.

    Example:

    >>> encoder = keras_mim.encoders.ViT.from_size(
    ...     "base", image_shape=(224, 224, 3), patch_size=16
    ... )
    >>> encoder(np.zeros((1, 224, 224, 3))).shape
    (1, 197, 768)
    """

    def __init__(
        self,
        image_shape,
        patch_size,
        hidden_dim,
        num_layers,
        num_heads,
        mlp_dim,
        use_class_token=True,
        positions="sine_cosine",
        drop_path_rate=0.0,
        layer_scale=None,
        use_key_bias=True,
        initialization="mae",
        use_final_norm=True,
        remat=False,
        dtype=None,
        name="vit",
        **kwargs,
    ):
        image_shape = tuple(image_shape)
        grid = ops.patch_grid(image_shape, patch_size)
        if hidden_dim % num_heads:
            raise ValueError(
                "`hidden_dim` must be divisible by `num_heads`. Received: "
                f"hidden_dim={hidden_dim}, num_heads={num_heads}"
            )
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        num_prefix_tokens = int(use_class_token)
        token_initializer, of_patches, of_blocks = vit_parts.initializers(
            initialization, num_layers
        )
        patch_embedding = layers.PatchEmbedding(
            patch_size,
            hidden_dim,
            **of_patches,
            dtype=policy,
            name="patch_embedding",
        )
        position_embedding, position_biases = vit_parts.position_layers(
            positions,
            grid,
            num_prefix_tokens,
            num_heads,
            num_layers,
            token_initializer,
            policy,
        )
        blocks = [
            layers.TransformerBlock(
                num_heads,
                mlp_dim,
                drop_path_rate=drop_path_rate * i / max(num_layers - 1, 1),
                layer_scale=layer_scale,
                use_key_bias=use_key_bias,
                **of_blocks[i],
                remat=remat,
                dtype=policy,
                name=f"block_{i}",
            )
            for i in range(num_layers)
        ]
        norm = None
        if use_final_norm:
            norm = keras.layers.LayerNormalization(
                epsilon=1e-6, dtype=policy, name="norm"
            )
        # Any number of tokens: a masked image model drops some of them.
        any_tokens = keras.Input(
            (None, hidden_dim), dtype=policy.compute_dtype, name="tokens"
        )
        x = any_tokens
        biases = [bias(x) for bias in position_biases]
        for i, block in enumerate(blocks):
            x = block(x, biases[i % len(biases)] if biases else None)
        x = norm(x) if use_final_norm else x
        trunk = keras.Model(any_tokens, x, name="trunk")

        images = keras.Input(image_shape, name="images")
        tokens = trunk(position_embedding(patch_embedding(images)))
        super().__init__(images, tokens, name=name, **kwargs)

        self.dtype_policy = policy
        self.image_shape = image_shape
        self.patch_size = patch_size
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.hidden_dim = hidden_dim
        self.use_class_token = use_class_token
        self.positions = positions
        self.drop_path_rate = drop_path_rate
        self.layer_scale = layer_scale
        self.use_key_bias = use_key_bias
        self.initialization = initialization
        self.use_final_norm = use_final_norm
        self.remat = remat
        self.token_initializer = token_initializer
        self.grid = grid
        self.num_patches = grid[0] * grid[1]
        self.num_prefix_tokens = num_prefix_tokens
        self.patch_embedding = patch_embedding
        self.position_embedding = position_embedding
        self.trunk = trunk
        self.blocks = blocks
        self.norm = norm
        self.position_biases = position_biases

    @classmethod
    def from_size(cls, size, image_shape, patch_size, **kwargs):
        """Builds a size of the papers: tiny, small, base, large or huge.

        Args:
            size: str. Name of the size.
            image_shape: tuple of int. `(height, width, channels)`.
            patch_size: int. Side of a patch in pixels. The papers take 16, and
                14 for huge.
            **kwargs: Further arguments of `ViT`; they win over the size's.
        """
        if size not in SIZES:
            raise ValueError(
                f"`size` must be one of {sorted(SIZES)}. "
                f"Received: size={size!r}"
            )
        config = {**SIZES[size], "mlp_dim": 4 * SIZES[size]["hidden_dim"]}
        return cls(image_shape, patch_size, **{**config, **kwargs})

    def feature_maps(self, images, layers):
        """Returns the patch tokens after given blocks as feature maps.

        What dense heads (detection, segmentation) start from; no final layer
        norm is applied.

        Args:
            images: Tensor of shape `(batch_size, height, width, channels)`.
            layers: tuple of int. Indices of blocks, from 0; ViT-B's usual
                choice is `(3, 5, 7, 11)`.

        Returns:
            List of tensors of shape `(batch_size, grid_height, grid_width,
            hidden_dim)`, in the order of `layers`.
        """
        layers = tuple(layers)
        if not layers or not set(layers) <= set(range(self.num_layers)):
            raise ValueError(
                "`layers` must name one or more blocks, in "
                f"[0, {self.num_layers}). Received: layers={layers}"
            )
        maps = {}
        tokens = self.position_embedding(self.patch_embedding(images))
        biases = [bias(tokens) for bias in self.position_biases]
        for i in range(max(layers) + 1):
            bias = biases[i % len(biases)] if biases else None
            tokens = self.blocks[i](tokens, bias)
            patches = tokens[:, self.num_prefix_tokens :]
            maps[i] = keras.ops.reshape(
                patches, (-1, *self.grid, self.hidden_dim)
            )
        return [maps[i] for i in layers]

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "image_shape": self.image_shape,
            "patch_size": self.patch_size,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "use_class_token": self.use_class_token,
            "positions": self.positions,
            "drop_path_rate": self.drop_path_rate,
            "layer_scale": self.layer_scale,
            "use_key_bias": self.use_key_bias,
            "initialization": self.initialization,
            "use_final_norm": self.use_final_norm,
            "remat": self.remat,
        }
