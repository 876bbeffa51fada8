import keras
from keras import layers

import keras_mim


@keras.saving.register_keras_serializable(package="my_project")
class ConvMixer(keras_mim.encoders.Encoder):
    """Depthwise convolutions over the patches: no attention, no class token."""

    def __init__(
        self,
        image_shape,
        patch_size=8,
        hidden_dim=32,
        num_layers=2,
        dtype=None,
        **kwargs,
    ):
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        grid = keras_mim.ops.patch_grid(tuple(image_shape), patch_size)
        shape = (grid[0] * grid[1], hidden_dim)
        tokens = keras.Input(shape, dtype=policy.compute_dtype, name="tokens")
        x, blocks, features = tokens, [], []
        for i in range(num_layers):
            block = keras.Sequential(
                [
                    layers.Reshape((*grid, hidden_dim), dtype=policy),
                    layers.DepthwiseConv2D(3, padding="same", dtype=policy),
                    layers.LayerNormalization(dtype=policy),
                    layers.Reshape(shape, dtype=policy),
                ],
                name=f"block_{i}",
            )
            x = layers.Add(dtype=policy)([x, block(x)])
            blocks.append(block)
            features.append((x, grid, patch_size))
        super().__init__(
            image_shape,
            patch_size,
            patch_embedding=keras_mim.layers.PatchEmbedding(
                patch_size, hidden_dim, dtype=policy, name="patch_embedding"
            ),
            trunk=keras.Model(tokens, x, name="trunk"),
            blocks=blocks,
            features=features,
            dtype=policy,
            **kwargs,
        )
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
        }
