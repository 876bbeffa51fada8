import keras
from keras import ops

from keras_mim._checks import check_counts
from keras_mim._checks import check_numbers
from keras_mim.targets._teachers import freeze
from keras_mim.targets._teachers import standardize
from keras_mim.targets.target import Target


@keras.saving.register_keras_serializable(package="keras_mim")
class EMATarget(Target):
    """What a moving average of the encoder makes of the whole image.

    The teacher starts as a copy of the encoder that learns. Before it is asked
    in a training step, each of its weights moves towards the encoder's:
    `momentum * teacher + (1 - momentum) * encoder`. The target of a patch is
    the mean of what its last blocks make of it, each standardised.

    Reference: [Baevski et al., 2022](https://arxiv.org/abs/2202.03555)
    (data2vec), whose ViT-B has momentum 0.9998, 6 blocks, and a smooth L1 loss
    that is square below 2, on BEiT's block-wise masks. Its momentum rises at
    first; here it is constant.

    Args:
        momentum: float in [0, 1). Defaults to `0.9998`.
        num_layers: int. How many of the last blocks are averaged.
            Defaults to `6`.
        patch_size: int or `None`. Side of a patch in pixels. `None` takes the
            encoder's when the target becomes part of a `MaskedImageModel`.

    Call arguments:
        images: Tensor of shape `(batch_size, height, width, channels)`.
        training: bool or `None`. Whether the teacher moves.

    Output shape: Float32 `(batch_size, num_patches, hidden_dim)`.

    Example:

    >>> target = keras_mim.targets.EMATarget()
    >>> model = keras_mim.SimMIM(encoder, target=target)
    """

    default_loss = keras.losses.Huber(delta=2.0)

    def __init__(
        self, momentum=0.9998, num_layers=6, patch_size=None, **kwargs
    ):
        super().__init__(patch_size=patch_size, **kwargs)
        check_numbers("[0, 1)", momentum=momentum)
        check_counts(num_layers=num_layers)
        self.momentum = momentum
        self.num_layers = num_layers
        self.teacher = None

    def attach(self, encoder):
        if encoder.output_grid != encoder.grid:
            raise ValueError(
                "`EMATarget` needs an encoder with a token for each patch, "
                f"such as `ViT`. Received: {encoder}"
            )
        if not 1 <= self.num_layers <= len(encoder.blocks):
            raise ValueError(
                "`num_layers` must lie between 1 and the encoder's number of "
                f"blocks, {len(encoder.blocks)}. "
                f"Received: num_layers={self.num_layers}"
            )
        # The teacher drops nothing, as data2vec's, which is in evaluation mode.
        still = {"drop_path_rate": 0.0} if encoder.drop_path_rate else {}
        # Under a path of its own: of two weights with one path, which LoRA made
        # after the build, Keras clears the gradient of one on torch.
        with keras.name_scope("teacher"):
            self.teacher = encoder.copy(**still)
        freeze(self.teacher)
        # Behind a function: the encoder is not to become a part of this layer.
        pairs = tuple(zip(self.teacher.weights, encoder.weights, strict=True))
        self._pairs = lambda: pairs

    def build_from_config(self, config):
        # A loaded one is built by its model, when it has been attached.
        pass

    def target_dim(self, channels):
        return self.teacher.output_dim

    def call(self, images, training=None):
        if training:
            for own, learned in self._pairs():
                step = ops.cast(1 - self.momentum, own.dtype)
                own.assign(own + step * (ops.stop_gradient(learned) - own))
        last = len(self.teacher.blocks)
        maps = self.teacher.feature_maps(
            images, layers=range(last - self.num_layers, last)
        )
        mean = sum(standardize(ops.cast(x, "float32")) for x in maps)
        shape = self.compute_output_shape(images.shape)
        return ops.reshape(mean / self.num_layers, (-1, *shape[1:]))

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "num_layers": self.num_layers,
        }
