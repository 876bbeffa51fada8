import keras

from keras_mim.ops import normalize_tokens


@keras.saving.register_keras_serializable(package="keras_mim")
class TokenNorm(keras.layers.LayerNormalization):
    """Layer normalization of tokens, over their width.

    The arguments and the result are those of
    `keras.layers.LayerNormalization`; see `keras_mim.ops.normalize_tokens`.
    """

    def call(self, inputs):
        return normalize_tokens(inputs, self.gamma, self.beta, self.epsilon)
