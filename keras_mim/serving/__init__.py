"""Encoders and classifiers as SavedModels, ONNX and LiteRT files."""

from keras_mim.serving.export_classifier import (
    export_classifier as export_classifier,
)
from keras_mim.serving.export_encoder import export_encoder as export_encoder
from keras_mim.serving.export_litert import export_litert as export_litert
from keras_mim.serving.export_onnx import export_onnx as export_onnx
