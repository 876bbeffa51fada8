import keras

from keras_mim import layers
from keras_mim import masking as maskings
from keras_mim import targets
from keras_mim.models.masked_image_model import MaskedImageModel


@keras.saving.register_keras_serializable(package="keras_mim")
class SimMIM(MaskedImageModel):
    """SimMIM: the encoder sees every patch, hidden ones as a mask token.

    Works with any encoder; the head is one linear layer, and the loss the L1
    distance to the raw pixels.

    Reference: [Xie et al., 2021](https://arxiv.org/abs/2111.09886), SimMIM's
    `SimMIM`. The defaults are the paper's. Its loss divides by the number of
    hidden pixels plus 1e-5; here by the number itself.

    The default masking hides 60 % of the 32-pixel cells, rounded up as in the
    paper: 22 of 36 at 192 pixels, 30 of 49 at 224, but 3 of 4, which is 75 %,
    at 64. `RandomMasking(0.6, mask_patch_size=8)` hides 61 % there, and
    `model.num_masked` says how many patches it is.

    MAE's ablation "encoder with mask tokens" (its table 1c) is
    `SimMIM(encoder, RandomMasking(0.75), MAEHead(), PixelTarget(
    normalize=True))`, compiled with `loss="mse"`.

    Args:
        encoder: `keras_mim.encoders.Encoder`.
        masking: `keras_mim.masking.Masking` or `None` for
            `RandomMasking(0.6, mask_patch_size=32)`.
        head: `keras_mim.layers.Head` or `None` for `SimMIMHead()`.
        target: `keras_mim.targets.Target` or `None` for
            `PixelTarget(normalize=False)`.
        loss_on_all_patches: bool. Whether the loss, mean absolute error unless
            `compile` gets another, covers visible patches too.
            Defaults to `False`.

    Example:

    >>> encoder = keras_mim.encoders.ViT.from_size("tiny", (192, 192, 3), 16)
    >>> simmim = keras_mim.SimMIM(encoder)
    >>> simmim.compile(optimizer="adamw")
    >>> simmim.fit(images)
    """

    def __init__(
        self,
        encoder,
        masking=None,
        head=None,
        target=None,
        loss_on_all_patches=False,
        **kwargs,
    ):
        super().__init__(
            encoder,
            maskings.RandomMasking(0.6, mask_patch_size=32)
            if masking is None
            else masking,
            layers.SimMIMHead() if head is None else head,
            targets.PixelTarget(normalize=False) if target is None else target,
            default_loss=keras.losses.MeanAbsoluteError(),
            loss_on_all_patches=loss_on_all_patches,
            **kwargs,
        )
        self.mask_token = layers.MaskToken(
            initializer=encoder.token_initializer.clone(),
            dtype=encoder.dtype_policy,
        )
        self.build()

    def encode(self, images, masked, num_masked, training=None):
        tokens = self.encoder.patch_embedding(images)
        tokens = self.mask_token(tokens, masked)
        tokens = self.encoder.position_embedding(tokens)
        return self.encoder.trunk(tokens, training=training)
