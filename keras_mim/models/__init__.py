"""The methods: how an encoder meets the mask."""

from keras_mim.models.mae import MAE as MAE
from keras_mim.models.masked_image_model import (
    MaskedImageModel as MaskedImageModel,
)
from keras_mim.models.simmim import SimMIM as SimMIM
