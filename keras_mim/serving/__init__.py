"""Encoders and classifiers as SavedModels for serving."""

from keras_mim.serving.export_classifier import (
    export_classifier as export_classifier,
)
from keras_mim.serving.export_encoder import export_encoder as export_encoder
