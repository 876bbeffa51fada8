import keras

import keras_mim


@keras.saving.register_keras_serializable(package="my_project")
class NormHead(keras_mim.layers.Head):
    """A layer norm and one linear layer, for encoders that see all patches."""

    def build(self, tokens_shape, masked_shape):
        super().build(tokens_shape, masked_shape)
        self.norm = keras.layers.LayerNormalization(dtype=self.dtype_policy)
        self.norm.build(tokens_shape)
        self.dense = keras.layers.Dense(
            self.target_dim, dtype=self.dtype_policy
        )
        self.dense.build(tokens_shape)

    def call(self, tokens, masked):
        patches = tokens[:, self.num_prefix_tokens :]
        return self.dense(self.norm(patches))
