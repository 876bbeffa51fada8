import abc

import keras
import numpy as np
from keras import ops

from keras_mim._array_checks import check_images
from keras_mim._checks import check_counts
from keras_mim._checks import check_flags
from keras_mim._checks import check_kind
from keras_mim._compiled_on_torch import CompiledOnTorch
from keras_mim.encoders._first_look import ChecksData
from keras_mim.layers._settings import apply_settings
from keras_mim.layers._settings import settings_of
from keras_mim.models._filling_in import fill_in
from keras_mim.models._inputs import as_arrays
from keras_mim.models._inputs import check_arrays
from keras_mim.models._inputs import check_inputs
from keras_mim.models._inputs import check_masking
from keras_mim.models._inputs import split_inputs
from keras_mim.models._inputs import without_wrong_counts
from keras_mim.models._loss import default_loss
from keras_mim.models._loss import loss_arguments
from keras_mim.models._ownership import check_parts
from keras_mim.models._ownership import claim
from keras_mim.models._ownership import complete
from keras_mim.models._saved_seeds import SavesSeeds
from keras_mim.models._trainers import averageable
from keras_mim.models._trainers import build_optimizer
from keras_mim.ops import check_mask
from keras_mim.ops._inference import no_gradient

PARTS = ("encoder", "masking", "head", "target")


class MaskedImageModel(
    SavesSeeds, ChecksData, CompiledOnTorch, keras.Model, abc.ABC
):
    """Hides patches, encodes what is left, predicts what was hidden.

    The base of all methods: it holds the four parts, and trains by
    `model.fit`. A method implements `encode`: how its encoder meets the mask.

    The model takes images (normalized, or uint8, which it normalizes as
    `encoder.normalization` says), or images with masks of the caller's:
    `{"images": images, "masked": masked}`, where `masked` hides as many
    patches of every image as `masking` would, since a step needs one static
    count. Arrays, and the first batch of other data, are checked before the
    first step; in later batches, images with another count have predictions
    of NaN. The model returns a dict: `"prediction"`, of shape
    `(batch_size, num_patches, target_dim)`, `"target"` and `"masked"`.

    Training draws masks from a random stream that goes on from step to step.
    Each evaluation and prediction draws the same ones from the beginning of a
    stream of its own: `val_loss` can be compared between epochs, and training
    is the same with and without validation data. Both follow from the
    masking's seed.

    The loss is a stock Keras loss over the hidden patches; compiled without
    one, the model uses its paper's. `weighted_metrics` see hidden patches
    only, `metrics` see all.

    Args:
        encoder: `keras_mim.encoders.Encoder`. Several models may share one;
            the other three parts belong to one model.
        masking: `keras_mim.masking.Masking`. Which patches are hidden.
        head: `keras_mim.layers.Head`. How tokens become predictions.
        target: `keras_mim.targets.Target`. What is predicted.
        default_loss: `keras.losses.Loss`. Used when neither `compile` nor the
            target gives another.
        loss_on_all_patches: bool. Whether the loss covers visible patches too
            (the papers' ablation). Defaults to `False`.
    """

    def __init__(
        self,
        encoder,
        masking,
        head,
        target,
        default_loss,
        loss_on_all_patches=False,
        **kwargs,
    ):
        check_parts(encoder=encoder, masking=masking, head=head, target=target)
        check_kind(keras.losses.Loss, default_loss=default_loss)
        check_flags(loss_on_all_patches=loss_on_all_patches)
        # Targets need the images as they come, not in half precision.
        super().__init__(autocast=False, **kwargs)
        complete(masking, patch_size=encoder.patch_size)
        complete(
            target,
            patch_size=encoder.patch_size,
            normalization=encoder.normalization,
        )
        target.attach(encoder)
        complete(
            head,
            target_dim=target.target_dim(encoder.image_shape[-1]),
            grid=encoder.grid,
            num_prefix_tokens=encoder.num_prefix_tokens,
        )
        self.encoder = encoder
        self.masking = masking
        self.head = head
        self.target = target
        self.default_loss = default_loss
        self.loss_on_all_patches = loss_on_all_patches

    @property
    def num_masked(self):
        """Number of patches that are hidden of every image."""
        return self.masking.num_masked(self.encoder.grid)

    @abc.abstractmethod
    def encode(self, images, masked, num_masked, training=None):
        """Encodes images under a mask.

        Args:
            images: Tensor of shape `(batch_size, height, width, channels)`.
            masked: Boolean tensor of shape `(batch_size, num_patches)`.
            num_masked: int. Number of hidden patches in every image.
            training: bool or `None`. To be handed on to the trunk.

        Returns:
            Tensor of shape `(batch_size, num_tokens, hidden_dim)`, which the
            head takes.
        """

    def build(self, input_shape=None):
        # A method's `__init__` ends with this: every weight exists from the
        # start; summaries, strict loading and converters need no batch.
        if not self.built:
            self.built = True
            check_masking(self)
            self(keras.KerasTensor((None, *self.encoder.image_shape)))
            claim(self.masking, self.head, self.target)

    def call(self, inputs, training=None):
        images, masked = split_inputs(inputs, self.encoder)
        images = self.encoder.as_normalized(images)
        if masked is None:
            masked = self.masking.draw(images, training)
        prediction = self._predict(images, masked, self.num_masked, training)
        return {
            "prediction": prediction,
            "target": ops.stop_gradient(self.target(images, training=training)),
            "masked": masked,
        }

    def _predict(self, images, masked, num_masked, training=None):
        # Handed on by hand: on JAX, `fit` calls a model's `call` itself, and
        # layers inside would take it for inference.
        tokens = self.encode(images, masked, num_masked, training)
        prediction = self.head(tokens, masked, training=training)
        return without_wrong_counts(prediction, masked, num_masked)

    def check_inputs(self, inputs):
        check_inputs(inputs, self.encoder, self.num_masked)

    def fit(self, x=None, *args, **kwargs):
        check_arrays(self, x, kwargs.get("validation_data"))
        build_optimizer(self)
        return super().fit(x, *args, **kwargs)

    def make_test_function(self, force=False):
        self.masking.begin_evaluation()
        return super().make_test_function(force)

    def make_predict_function(self, force=False):
        self.masking.begin_evaluation()
        return super().make_predict_function(force)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        arguments = loss_arguments(self, y_pred, sample_weight)
        if self.loss is None:
            return default_loss(self, arguments)
        return super().compute_loss(x, *arguments, training=training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        arguments = loss_arguments(self, y_pred, sample_weight)
        return averageable(self, super().compute_metrics(x, *arguments))

    def draw_masks(self, images):
        """Draws masks as an evaluation's first batch has them.

        The same at every call; the model's random streams stay where they are.

        Args:
            images: Array of shape `(num_images, height, width, channels)`.

        Returns:
            Boolean NumPy array of shape `(num_images, num_patches)`.
        """
        check_images(images, self.encoder.image_shape)
        seeds = self.masking.seed_generator
        state = ops.convert_to_tensor(seeds.start())
        with keras.StatelessScope([(seeds.state, state)]):
            masked = self.masking(ops.convert_to_tensor(images))
        return ops.convert_to_numpy(masked)

    def predict_patches(self, images, masked, batch_size=32):
        """Predicts all patches of images under the caller's masks.

        Args:
            images: Array of shape `(num_images, height, width, channels)`.
            masked: Boolean array of shape `(num_images, num_patches)`, or
                `(num_patches,)` for the same mask on every image. Any number
                of hidden patches, equal in every image.
            batch_size: int. Number of images run at once. Defaults to `32`.

        Returns:
            NumPy array of shape `(num_images, num_patches, target_dim)`.
        """
        check_counts(batch_size=batch_size)
        images = as_arrays(images, self.encoder)
        masked = ops.convert_to_numpy(masked)
        masked, num_masked = check_mask(
            masked, len(images), self.encoder.num_patches
        )
        predictions = []
        for start in range(0, len(images), batch_size):
            batch = slice(start, start + batch_size)
            with no_gradient():
                prediction = self._predict(
                    ops.convert_to_tensor(images[batch]),
                    ops.convert_to_tensor(masked[batch]),
                    num_masked,
                )
            predictions.append(ops.convert_to_numpy(prediction))
        return np.concatenate(predictions)

    def reconstruct(self, images, masked=None, batch_size=32):
        """Fills hidden patches in, as pixels to look at.

        Args:
            images: Array of shape `(num_images, height, width, channels)`, in
                the value range that the model is trained on, or uint8.
            masked: Boolean array of shape `(num_images, num_patches)` or
                `(num_patches,)`. `None` draws masks by `draw_masks`.
            batch_size: int. Number of images run at once. Defaults to `32`.

        Returns:
            Dict of NumPy arrays, pixels normalized as the model takes them:
            `"original"`; `"masked_image"`, zero where hidden;
            `"reconstruction"`, the prediction for every patch, in the same
            range; `"pasted"`, the prediction where hidden and the original
            elsewhere; and `"masked"`, `(num_images, num_patches)`.
        """
        return fill_in(self, images, masked, batch_size)

    def export(self, filepath, *args, **kwargs):
        """Exports the whole model by Keras, which fails on torch.

        To serve images, `keras_mim.serving.export_encoder` writes the encoder.

        Args:
            filepath: str or path.
            *args: Further arguments of `keras.Model.export`.
            **kwargs: Further arguments. `input_signature` is by default that
                of normalized images.
        """
        if len(args) < 3 and kwargs.get("input_signature") is None:
            shape = (None, *self.encoder.image_shape)
            signature = keras.InputSpec("float32", shape, name="images")
            kwargs["input_signature"] = [signature]
        try:
            return super().export(filepath, *args, **kwargs)
        except Exception as error:
            raise ValueError(
                "Keras could not export the model. To serve its encoder, "
                "`keras_mim.serving.export_encoder(model.encoder, path)` works "
                f"on every backend. Received: {error}"
            ) from error

    def get_config(self):
        return {
            **super().get_config(),
            **{
                part: keras.saving.serialize_keras_object(getattr(self, part))
                for part in PARTS
            },
            "loss_on_all_patches": self.loss_on_all_patches,
            "layer_settings": settings_of(self),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        settings = config.pop("layer_settings", None)
        for part in PARTS:
            config[part] = keras.saving.deserialize_keras_object(
                config[part], custom_objects=custom_objects
            )
        model = cls(**config)
        apply_settings(model, settings)
        return model
