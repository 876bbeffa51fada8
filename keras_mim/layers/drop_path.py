import keras
from keras import ops

from keras_mim._array_checks import TOKENS
from keras_mim._array_checks import check_rank
from keras_mim._checks import check_numbers
from keras_mim._checks import check_seed
from keras_mim.random import ReplicaSeeds
from keras_mim.random import uniform


@keras.saving.register_keras_serializable(package="keras_mim")
class DropPath(keras.layers.Layer):
    """Drops the whole residual branch of an image: stochastic depth.

    One draw per image; what is kept is scaled by `1 / (1 - rate)`.

    Reference: [Huang et al., 2016](https://arxiv.org/abs/1603.09382), as timm's
    `DropPath`.

    Args:
        rate: float. Probability of dropping the branch, in [0, 1).
        seed: int or `None`. Seed of the layer's own random stream.

    Call arguments:
        inputs: Tensor of shape `(batch_size, num_tokens, hidden_dim)`.
        training: bool. Nothing is dropped at inference.

    Output shape: Same as `inputs`.
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        check_numbers("[0, 1)", rate=rate)
        check_seed(seed)
        self.rate = rate
        self.seed = seed
        if rate > 0:
            # Not Keras's `Dropout`, whose replicas all drop the same.
            self.seed_generator = ReplicaSeeds(seed)

    def build(self, inputs_shape):
        check_rank("inputs", inputs_shape, TOKENS)
        self.built = True

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        noise = uniform((ops.shape(inputs)[0], 1, 1), self.seed_generator)
        kept = inputs / (1 - self.rate)
        return ops.where(noise < self.rate, ops.zeros_like(kept), kept)

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
