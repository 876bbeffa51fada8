import abc
import dataclasses
import re

from keras_mim import layers
from keras_mim.converters._assignment import assign
from keras_mim.converters._entries import Entry
from keras_mim.converters._entries import dense
from keras_mim.converters._entries import norm
from keras_mim.converters._entries import shuffled_bias
from keras_mim.converters._entries import shuffled_kernel
from keras_mim.converters._renaming import rename
from keras_mim.converters._renaming import rename_all
from keras_mim.converters._renaming import split_query_key_value
from keras_mim.masking import RandomMasking
from keras_mim.models import MaskedImageModel
from keras_mim.models import SimMIM
from keras_mim.transfer import Classifier

# A rule for `Layout.file_rules`: SimMIM's files put `encoder.` in front.
DROP_SIMMIM_PREFIX = (r"^encoder\.(?!mask_token$)", "")
# And one for `Layout.rules`.
ADD_SIMMIM_PREFIX = (r"^(?!encoder\.|decoder\.)", "encoder.")


@dataclasses.dataclass(frozen=True)
class Hints:
    """What the caller says of a checkpoint, as not all stands in its arrays.

    Attributes: the arguments of `from_checkpoint`.
    """

    image_shape: tuple | None = None
    num_heads: int | None = None
    decoder_num_heads: int | None = None
    normalize: bool | None = None
    grid: tuple | None = None
    allow_missing: tuple = ()
    window_size: int | None = None


@dataclasses.dataclass(frozen=True)
class Layout(abc.ABC):
    """How a family of checkpoints stores one kind of encoder.

    A subclass is for a kind of encoder: it knows the weights by the names of
    its first implementation, and how to build one of a checkpoint's sizes. Its
    instances are for the families.

    Attributes:
        name: str. The `layout` of `to_torch_state_dict`.
        encoder_class: class of the encoders.
        rules: tuple of pairs of str. Patterns and replacements that make the
            family's names of the first implementation's.
        file_rules: tuple of pairs of str. Patterns and replacements that make
            the family's names of those in a file, where these vary.
        no_place: str. Pattern of the names of weights that the family has no
            place for.
        splits_query_key_value: bool. Whether the family has three arrays where
            we have one fused projection.
    """

    name: str
    encoder_class: type
    rules: tuple = ()
    file_rules: tuple = ()
    no_place: str = "decoder_"
    splits_query_key_value: bool = False

    @abc.abstractmethod
    def recognizes(self, checkpoint):
        """Whether the names of a checkpoint are this layout's."""

    @abc.abstractmethod
    def encoder_entries(self, encoder):
        """Returns an encoder's entries by the first implementation's names."""

    @abc.abstractmethod
    def build_encoder(self, checkpoint, hints):
        """Returns an encoder of a read checkpoint's sizes, and the grid.

        The grid is the checkpoint's `(height, width)` in patches, or `None`
        where no table depends on it.
        """

    def has_no_place(self, name):
        """Whether a weight of this name can only be another family's."""
        return re.search(self.no_place, name) is not None

    def name_of(self, name):
        """Returns the name of a weight, given the first implementation's."""
        return rename(name, self.rules)

    def entries(self, model):
        """Returns the weights of a model by their names.

        Args:
            model: An encoder of `encoder_class`, or a masked image model or
                `keras_mim.transfer.Classifier` of one.

        Returns:
            Dict of str to `Entry`.
        """
        found = self.encoder_entries(encoder_of(model))
        found |= self.head_entries(model)
        if self.splits_query_key_value:
            found = split_query_key_value(found)
        return rename_all(found, self.rules)

    def head_entries(self, model):
        """Returns what a model has beside its encoder, likewise."""
        if isinstance(model, SimMIM):
            return _simmim_head(model)
        if not isinstance(model, Classifier):
            return {}
        found = dense("head", model.head)
        if model.norm is not None:
            found |= norm("fc_norm", model.norm)
        return found

    def read(self, checkpoint, model=None):
        """Returns a checkpoint whose arrays have the names of `entries`.

        Args:
            checkpoint: `Checkpoint`.
            model: The model to be loaded, or `None` if there is none yet.
        """
        arrays = rename_all(checkpoint.arrays, self.file_rules)
        return dataclasses.replace(checkpoint, arrays=arrays)

    def array(self, checkpoint, name, rank):
        """Returns an array of a read checkpoint to read a size off.

        Args:
            checkpoint: `Checkpoint`.
            name: str. Its name in the first implementation.
            rank: int. The number of axes that it must have.
        """
        name = self.name_of(name)
        array = checkpoint.arrays.get(name)
        if array is None or array.ndim != rank or 0 in array.shape:
            shape = "no such array" if array is None else f"shape {array.shape}"
            raise ValueError(
                f"{checkpoint.source} must hold `{name}` with {rank} axes, "
                "none of them empty, from which the model's size is read. "
                f"Received: {shape}"
            )
        return array

    def build_model(self, encoder, checkpoint, hints):
        """Returns the model on an encoder that a read checkpoint is of."""
        names = (self.name_of("encoder.mask_token"), "decoder.0.weight")
        if not set(names) <= set(checkpoint.arrays):
            return encoder
        # The paper's squares of 32 pixels, where they divide the image.
        height, width, _ = encoder.image_shape
        fit = not (height % 32 or width % 32 or 32 % encoder.patch_size)
        masking = None if fit else RandomMasking(0.6)
        return SimMIM(encoder, masking=masking)

    def load(self, checkpoint, hints):
        """Returns the model that a checkpoint is of, with its weights."""
        checkpoint = self.read(checkpoint)
        encoder, grid = self.build_encoder(checkpoint, hints)
        model = self.build_model(encoder, checkpoint, hints)
        entries = self.entries(model)
        assign(model, entries, checkpoint, hints.allow_missing, grid, True)
        return model


def encoder_of(model):
    """Returns the encoder in a model, or the encoder that it is."""
    has_one = isinstance(model, (MaskedImageModel, Classifier))
    return model.encoder if has_one else model


def _simmim_head(model):
    head = model.head
    if not isinstance(head, layers.SimMIMHead) or head.prediction_side != 1:
        raise ValueError(
            "Checkpoints of SimMIM hold the weights of `SimMIMHead`, with a "
            f"prediction for each patch. Received: head={head}"
        )
    cut = model.encoder.patch_size, head.patches_per_side
    kernel, bias = head.prediction.kernel, head.prediction.bias
    return {
        "encoder.mask_token": Entry(model.mask_token.token),
        "decoder.0.weight": Entry(kernel, shuffled_kernel(*cut)),
        "decoder.0.bias": Entry(bias, shuffled_bias(*cut)),
    }
