"""Training on many devices, by each backend's own engine."""

from keras_mim.distribution.layout_map import layout_map as layout_map
from keras_mim.distribution.placement import Placement as Placement
from keras_mim.distribution.start import start as start
