import keras
from keras import ops

from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import get_initializer


@keras.saving.register_keras_serializable(package="keras_mim")
class ClassToken(keras.layers.Layer):
    """Puts one learned token in front of the patch tokens.

    Reference: [Dosovitskiy et al., 2020](https://arxiv.org/abs/2010.11929);
    normal with standard deviation 0.02, as MAE initialises it.

    Args:
        initializer: Keras initializer of the token, or `None` for a normal
            distribution of deviation 0.02. Defaults to `None`.

    Call arguments:
        tokens: Tensor of shape `(batch_size, num_patches, hidden_dim)`.

    Output shape: `(batch_size, 1 + num_patches, hidden_dim)`.
    """

    def __init__(self, initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.initializer = get_initializer(
            "initializer", initializer, or_none=True
        )

    def build(self, tokens_shape):
        check_rank("tokens", tokens_shape, TOKENS)
        self.token = self.add_weight(
            name="token",
            shape=(1, 1, tokens_shape[-1]),
            initializer=self.initializer
            or keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, tokens):
        token = ops.cast(self.token, tokens.dtype)
        token = ops.tile(token, (ops.shape(tokens)[0], 1, 1))
        return ops.concatenate([token, tokens], axis=1)

    def compute_output_shape(self, tokens_shape):
        batch_size, num_patches, hidden_dim = tokens_shape
        return batch_size, 1 + num_patches, hidden_dim

    def get_config(self):
        return {
            **super().get_config(),
            "initializer": keras.initializers.serialize(self.initializer),
        }
