"""Encoders as SavedModels for serving."""

from keras_mim.serving.export_encoder import export_encoder as export_encoder
