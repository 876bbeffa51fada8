"""The families of checkpoints: how each stores the weights of a model."""

from keras_mim.converters.layouts.beit import BEIT
from keras_mim.converters.layouts.beit import SIMMIM
from keras_mim.converters.layouts.hf import HF
from keras_mim.converters.layouts.keras_hub import KerasHubViT
from keras_mim.converters.layouts.keras_hub_swin import KerasHubSwin
from keras_mim.converters.layouts.layout import encoder_of
from keras_mim.converters.layouts.mae import MAE
from keras_mim.converters.layouts.swin import SWIN
from keras_mim.converters.layouts.swin import SWIN_V2
from keras_mim.converters.layouts.timm import TIMM

# A file is of the first layout that recognizes it.
VITS = (HF, MAE, TIMM, BEIT, SIMMIM)
SWINS = (*SWIN, *SWIN_V2)
LAYOUTS = (*SWINS, *VITS)

KERAS_HUB_LAYOUTS = (KerasHubSwin(), KerasHubViT())


def layouts_of(model, layouts=LAYOUTS):
    """Returns those of some layouts that know a model's encoder.

    Args:
        model: An encoder, or a masked image model or classifier of one.
        layouts: tuple of `Layout`.

    Returns:
        List of `Layout`, not empty.
    """
    encoder = encoder_of(model)
    found = [x for x in layouts if isinstance(encoder, x.encoder_class)]
    if not found:
        names = dict.fromkeys(x.encoder_class.__name__ for x in layouts)
        raise ValueError(
            "These checkpoints are known of an encoder of keras_mim.encoders "
            f"of class {' or '.join(names)}, and of a MAE, SimMIM or "
            "Classifier of one; of another model pass its `encoder`. "
            f"Received: {type(model).__name__}"
            + ("" if encoder is model else f" of {type(encoder).__name__}")
        )
    return found


def layout_of(model, *names):
    """Returns the layout of a model's encoder that has one of some names."""
    known = layouts_of(model)
    for layout in known:
        if layout.name in names:
            return layout
    raise ValueError(
        f"`layout` of a {type(encoder_of(model)).__name__} must be one of "
        f"{tuple(x.name for x in known)}. Received: layout={names[0]!r}"
    )
