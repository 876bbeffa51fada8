import keras


@keras.saving.register_keras_serializable(package="keras_mim")
class DropPath(keras.layers.Dropout):
    """Drops the whole residual branch of an image: stochastic depth.

    Keras's dropout with one draw per image; what is kept is scaled by
    `1 / (1 - rate)`.

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
        super().__init__(rate, noise_shape=(None, 1, 1), seed=seed, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["noise_shape"]
        return config
