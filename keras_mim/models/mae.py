import keras

from keras_mim import layers
from keras_mim import masking as maskings
from keras_mim import targets
from keras_mim.models._ownership import check_parts
from keras_mim.models.masked_image_model import MaskedImageModel


@keras.saving.register_keras_serializable(package="keras_mim")
class MAE(MaskedImageModel):
    """Masked autoencoder: the encoder sees the visible patches only.

    Three quarters of the patches are dropped before the encoder, which makes
    pre-training cheap; a light decoder fills them in.

    Reference: [He et al., 2021](https://arxiv.org/abs/2111.06377), MAE's
    `MaskedAutoencoderViT` with `norm_pix_loss`. The defaults are the paper's.

    Args:
        encoder: `keras_mim.encoders.Encoder` that `drops_tokens`, such as
            `ViT` with absolute positions.
        masking: `keras_mim.masking.Masking` or `None` for
            `RandomMasking(0.75)`.
        head: `keras_mim.layers.Head` or `None` for `MAEHead()`: 8 blocks, 512
            wide, 16 heads.
        target: `keras_mim.targets.Target` or `None` for
            `PixelTarget(normalize=True)`.
        loss_on_all_patches: bool. Whether the loss, mean squared error unless
            `compile` gets another, covers visible patches too.
            Defaults to `False`.

    Example:

    >>> encoder = keras_mim.encoders.ViT.from_size("tiny", (64, 64, 3), 8)
    >>> mae = keras_mim.MAE(encoder)
    >>> mae.compile(optimizer="adamw")
    >>> mae.fit(images)
    >>> mae.encoder.save("encoder.keras")
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
        check_parts(encoder=encoder)
        if not encoder.drops_tokens:
            raise ValueError(
                "MAE drops the tokens of hidden patches: `encoder` must take "
                "any subset of its tokens, as a `ViT` with absolute positions "
                "does. Use SimMIM for others. "
                f"Received: encoder={encoder}"
            )
        # Checked here because the head cannot tell: a quarter of the tokens,
        # MAE's default, may as well be tokens that stand for four patches each.
        if isinstance(head, layers.GridHead):
            raise ValueError(
                "MAE drops the tokens of hidden patches: `head` must put them "
                "back, as `MAEHead` does. Use SimMIM for others. "
                f"Received: head={head}"
            )
        super().__init__(
            encoder,
            maskings.RandomMasking(0.75) if masking is None else masking,
            layers.MAEHead() if head is None else head,
            targets.PixelTarget(normalize=True) if target is None else target,
            default_loss=keras.losses.MeanSquaredError(),
            loss_on_all_patches=loss_on_all_patches,
            **kwargs,
        )
        self.gather_visible = layers.GatherVisible(
            encoder.num_prefix_tokens, dtype=encoder.dtype_policy
        )
        self.build()

    def encode(self, images, masked, num_masked, training=None):
        tokens = self.encoder.patch_embedding(images)
        tokens = self.encoder.position_embedding(tokens)
        num_visible = self.encoder.num_patches - num_masked
        tokens = self.gather_visible(tokens, masked, num_visible=num_visible)
        return self.encoder.trunk(tokens, training=training)
