import itertools

import keras

from keras_mim import layers
from keras_mim import ops
from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim._checks import check_heads
from keras_mim._checks import check_image_shape
from keras_mim._checks import check_numbers
from keras_mim.encoders._vit_parts import ABSOLUTE
from keras_mim.encoders._vit_parts import SIZES
from keras_mim.encoders._vit_parts import TRAINED
from keras_mim.encoders._vit_parts import initializers
from keras_mim.encoders._vit_parts import position_layers
from keras_mim.encoders.encoder import Encoder
from keras_mim.encoders.layer_group import LayerGroup
from keras_mim.layers._token_norm import TokenNorm


@keras.saving.register_keras_serializable(package="keras_mim")
class ViT(Encoder):
    """Vision transformer: images to tokens, with no mask and no randomness.

    An `Encoder` whose `position_embedding` puts the class token in front and
    adds positions, and whose `trunk` is the blocks and a layer norm.

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
        normalization: `keras_mim.Normalization` or `None`. See `Encoder`.
            Defaults to `None`.

    Input shape: `(batch_size, height, width, channels)`: normalized
    pixels, or bytes (uint8).

    Output shape: `(batch_size, num_prefix_tokens + num_patches, hidden_dim)`,
    the class token first, then the patches row by row.

    Example:

    >>> encoder = keras_mim.encoders.ViT.from_size(
    ...     "base", image_shape=(224, 224, 3), patch_size=16
    ... )
    >>> encoder(np.zeros((1, 224, 224, 3))).shape
    (1, 197, 768)
    """

    sizes = SIZES

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
        normalization=None,
        **kwargs,
    ):
        check_counts(num_layers=num_layers, mlp_dim=mlp_dim)
        check_heads(hidden_dim, num_heads)
        check_numbers("[0, 1)", drop_path_rate=drop_path_rate)
        check_flags(
            use_class_token=use_class_token,
            use_key_bias=use_key_bias,
            use_final_norm=use_final_norm,
            remat=remat,
        )
        image_shape = check_image_shape(image_shape)
        grid = ops.patch_grid(image_shape, patch_size)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        num_prefix_tokens = int(use_class_token)
        token_initializer, of_patches, of_blocks = initializers(
            initialization, num_layers
        )
        patch_embedding = layers.PatchEmbedding(
            patch_size,
            hidden_dim,
            **of_patches,
            dtype=policy,
            name="patch_embedding",
        )
        position_embedding, position_biases = position_layers(
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
            norm = TokenNorm(epsilon=1e-6, dtype=policy, name="norm")
        # Any number of tokens: a masked image model drops some of them.
        any_tokens = keras.Input(
            (None, hidden_dim), dtype=policy.compute_dtype, name="tokens"
        )
        x = any_tokens
        biases = [bias(x) for bias in position_biases]
        features = []
        for i, block in enumerate(blocks):
            x = block(x, biases[i % len(biases)] if biases else None)
            features.append((x, grid, patch_size))
        x = norm(x) if use_final_norm else x
        super().__init__(
            image_shape,
            patch_size,
            patch_embedding=patch_embedding,
            position_embedding=position_embedding,
            trunk=keras.Model(any_tokens, x, name="trunk"),
            blocks=blocks,
            features=features,
            norm=norm,
            num_prefix_tokens=num_prefix_tokens,
            normalization=normalization,
            dtype=policy,
            name=name,
            **kwargs,
        )
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
        self.position_biases = position_biases
        self.drops_tokens = positions in ABSOLUTE

    @property
    def default_pooling(self):
        # BEiT and SimMIM have a class token and pool the mean.
        absolute = self.use_class_token and self.positions in ABSOLUTE
        return "cls" if absolute else "mean"

    @property
    def layer_groups(self):
        stem, *groups, last = super().layer_groups
        # A block's own bias goes with its attention; a shared one comes last.
        own = self.position_biases if self.positions == "relative" else []
        groups = [
            LayerGroup(
                (*group.layers, *bias),
                (*group.layers[0].attention_layers(), *bias),
            )
            for group, bias in itertools.zip_longest(
                groups, [(bias,) for bias in own], fillvalue=()
            )
        ]
        owned = {id(bias) for bias in own}
        rest = [layer for layer in last.layers if id(layer) not in owned]
        return [stem, *groups, LayerGroup(tuple(rest))]

    def position_layers(self):
        if self.positions in ABSOLUTE:
            return [self.position_embedding.layers[-1]]
        # One for every block: a shared one fills all of another encoder's.
        repeats = self.num_layers // len(self.position_biases)
        return self.position_biases * repeats

    def fine_tuning_changes(self, pooling):
        # Fixed positions are trained from where they are, shared ones become
        # each block's own; the mean gets a fresh norm behind the pooling.
        return {
            "positions": TRAINED.get(self.positions, self.positions),
            "use_final_norm": pooling == "cls",
        }

    def load_weights_of(self, other):
        if isinstance(other, ViT) and self.positions not in (
            other.positions,
            TRAINED.get(other.positions),
        ):
            raise ValueError(
                "Positions can stay as they are, or be trained: 'sine_cosine' "
                "becomes 'learned', 'shared_relative' 'relative'. Received: "
                f"an encoder with positions={other.positions!r} for one with "
                f"positions={self.positions!r}"
            )
        super().load_weights_of(other)

    def get_config(self):
        return {
            **super().get_config(),
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
