"""Masked image modelling in Keras: pre-train image encoders without labels."""

from keras_mim import callbacks as callbacks
from keras_mim import converters as converters
from keras_mim import data as data
from keras_mim import distribution as distribution
from keras_mim import encoders as encoders
from keras_mim import layers as layers
from keras_mim import masking as masking
from keras_mim import models as models
from keras_mim import ops as ops
from keras_mim import optimizers as optimizers
from keras_mim import random as random
from keras_mim import serving as serving
from keras_mim import targets as targets
from keras_mim import transfer as transfer
from keras_mim.models import MAE as MAE
from keras_mim.models import MaskedImageModel as MaskedImageModel
from keras_mim.models import SimMIM as SimMIM
from keras_mim.normalization import Normalization as Normalization
from keras_mim.version import __version__ as __version__
